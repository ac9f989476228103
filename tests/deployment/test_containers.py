"""What the containers of docker-compose.yml mount: the same configuration as the embedded stack's,
and it runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from embedded import configuration, containers
from embedded.configuration import CONTAINER, SANDBOX
from embedded.errors import StackError
from embedded.stack import Stack
from tests.deployment.conftest import Config

PORTS = {"timescaledb": 5433, "postgres": 5432, "pgbouncer-ts": 6433, "pgbouncer": 6432}


@pytest.fixture(scope="session")
def told(config: Config) -> dict[str, str]:
    """The environment of the service that writes the configuration."""
    environment = config["services"]["configuration"]["environment"]
    return {name: value for name, value in environment.items() if value is not None}


@pytest.fixture
def written(
    tmp_path: Path, told: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, tuple[int, int]]]:
    """The volume as the service writes it, and to whom it gave each folder."""
    owners: dict[str, tuple[int, int]] = {}
    # Only root may give files away.
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: owners.update({str(path): (uid, gid)}))
    containers.write(tmp_path, told)
    return tmp_path, owners


def test_every_folder_that_is_mounted_is_written(written, config: Config) -> None:
    directory, _ = written
    mounted = {
        mount["volume"]["subpath"]
        for service in config["services"].values()
        for mount in service["volumes"]
        if mount.get("volume", {}).get("subpath")
    }
    assert mounted == {*PORTS, "valkey", "proxy", "trusted"}
    assert all((directory / folder).is_dir() for folder in mounted)


def test_every_file_belongs_to_the_image_s_user_and_to_nobody_else(written) -> None:
    directory, owners = written
    users = {"timescaledb": 70, "postgres": 999, "pgbouncer-ts": 70, "pgbouncer": 70}
    for name, uid in users.items():
        for path in (directory / name, *(directory / name).iterdir()):
            assert owners[str(path)][0] == uid
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    # The authority's key is root's alone, in a folder that nobody mounts.
    assert str(directory / "certificates" / "authority.pem") not in owners


def test_written_again_certificates_stay(written, told: Mapping[str, str]) -> None:
    directory, _ = written
    before = {path: path.read_text() for path in directory.rglob("*.pem")}
    assert len(before) == 6
    containers.write(directory, told)
    assert {path: path.read_text() for path in directory.rglob("*.pem")} == before


def test_certificates_are_for_the_names_that_services_have(written) -> None:
    from cryptography import x509

    directory, _ = written
    for name in PORTS:
        pem = (directory / name / "server.pem").read_bytes()
        names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert name in names.value.get_values_for_type(x509.DNSName)


def test_ports_are_those_that_others_ask_at(config: Config, told: Mapping[str, str]) -> None:
    files = {container.name: container.files for container in containers.containers(told)}
    for name, port in PORTS.items():
        content = "".join(files[name].values())
        assert f"port = {port}" in content or f"listen_port = {port}" in content
    services = config["services"]
    code_server = services["code-server"]["environment"]
    assert (code_server["TIMESCALE_HOST"], code_server["TIMESCALE_PORT"]) == (
        "pgbouncer-ts",
        "6433",
    )
    assert (code_server["APP_DB_HOST"], code_server["APP_DB_PORT"]) == ("pgbouncer", "6432")
    migrate = services["migrate"]["environment"]
    assert migrate["TIMESCALE_SERVER_PORT"] == services["timescaledb"]["environment"]["PGPORT"]
    assert migrate["APP_DB_SERVER_PORT"] == services["postgres"]["environment"]["PGPORT"]


def test_it_is_the_embedded_stack_s_configuration(
    told: Mapping[str, str], stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Line by line: but for addresses, ports, sockets, memory and passwords, the file that a
    container mounts is one that the tests' servers run with."""
    alike = {"127.0.0.1/32": "samenet", "127.0.0.1": "0.0.0.0"}  # noqa: S104
    varying = ("port", "listen_port", "unix_socket_directories", "pool_size")
    varying += tuple(name for name in _memory_settings())
    for container in containers.containers(told):
        if container.name not in {program.name for program in stack.programs}:
            continue
        running = stack.program(container.name).files
        for name in container.files:
            if name == "userlist.txt":
                continue
            pairs = zip(running[name].splitlines(), container.files[name].splitlines(), strict=True)
            for ours, theirs in pairs:
                key = ours.replace("=", " ").split(" ")[0]
                if key in varying or " host=" in ours or ours.startswith(("requirepass", "maxmem")):
                    continue
                for here, there in alike.items():
                    if theirs != ours:
                        ours = ours.replace(here, there)
                assert theirs == ours


def _memory_settings() -> set[str]:
    from embedded.machine import Machine, postgres_settings, timescaledb_settings

    machine = Machine(2**32, 2)
    return {*timescaledb_settings(machine), *postgres_settings(machine)}


def test_a_container_s_server_and_pooler_differ_in_their_surroundings_only() -> None:
    assert vars(SANDBOX).keys() == vars(CONTAINER).keys()
    assert configuration.CERTIFICATE.startswith("/data/")


@pytest.mark.parametrize("size", ["", "4", "lots", "0g", "1.5g"])
def test_a_size_that_is_none_is_named(told: Mapping[str, str], size: str) -> None:
    with pytest.raises(StackError, match="TIMESCALE_MEMORY"):
        containers.containers({**told, "TIMESCALE_MEMORY": size})
