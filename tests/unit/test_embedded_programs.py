"""Which programs belong to a stack, how they are run, and when they must be restarted."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from embedded import processes, sandbox
from embedded.configuration import pgbouncer
from embedded.environment import fresh_environment
from embedded.errors import StackError
from embedded.machine import Machine
from embedded.migrations import TARGETS
from embedded.paths import CHECKOUT
from embedded.private_files import write_private
from embedded.programs import Backend, Program, plan

MACHINE = Machine(memory=4 * 1024**3, cores=2)


def planned(tmp_path: Path, timescale: Backend | None = None, **changed: str) -> list[Program]:
    environment = {**fresh_environment(CHECKOUT, tmp_path, PASSWORDS), **changed}
    return plan(tmp_path, Path("/root-of-debian"), environment, MACHINE, timescale=timescale)


PASSWORDS = {
    name: f"secret-{name}"
    for name in ("VALKEY_PASSWORD", "PGBOUNCER_AUTH_PASSWORD", "PGBOUNCER_STATS_PASSWORD")
}


DAGSTER = ("dagster-webserver", "dagster-daemon")
OURS = (*DAGSTER, "metrics")


def names(programs: list[Program]) -> list[str]:
    return [program.name for program in programs]


def test_servers_start_before_poolers_and_those_before_dagster(tmp_path: Path) -> None:
    assert names(planned(tmp_path)) == [
        "postgres",
        "timescaledb",
        "valkey",
        "pgbouncer",
        "pgbouncer-ts",
        "dagster-webserver",
        "dagster-daemon",
        "metrics",
    ]


def test_a_timescaledb_elsewhere_is_used_and_none_started(tmp_path: Path) -> None:
    programs = names(planned(tmp_path, EMBEDDED_TIMESCALEDB="no"))
    assert "timescaledb" not in programs
    assert "pgbouncer-ts" not in programs
    assert "pgbouncer" in programs


def test_a_postgresql_elsewhere_is_used_and_none_started(tmp_path: Path) -> None:
    programs = names(planned(tmp_path, EMBEDDED_POSTGRES="no"))
    assert not {"postgres", "pgbouncer"} & set(programs)


def test_anything_but_yes_and_no_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="EMBEDDED_POSTGRES='maybe' is neither yes nor no"):
        planned(tmp_path, EMBEDDED_POSTGRES="maybe")


def test_another_timescaledb_can_stand_behind_our_pooler(tmp_path: Path) -> None:
    backend = Backend("10.0.0.7", 5999, "prefer")
    programs = {program.name: program for program in planned(tmp_path, backend)}
    assert "timescaledb" not in programs
    ini = programs["pgbouncer-ts"].files["pgbouncer.ini"]
    assert "stockeasy_collector = host=10.0.0.7 port=5999" in ini
    assert "server_tls_sslmode = prefer" in ini


def test_passwords_are_in_private_files_only(tmp_path: Path) -> None:
    for program in planned(tmp_path):
        assert not [word for word in program.command if "secret-" in word]


@pytest.mark.parametrize(
    ("variable", "value", "changed"),
    [
        ("VALKEY_PASSWORD", "other", {"valkey"}),
        ("TIMESCALE_PORT", "7433", {"pgbouncer-ts", *OURS}),
        ("TIMESCALE_SERVER_PORT", "7433", {"timescaledb", "pgbouncer-ts", *OURS}),
        ("PGBOUNCER_STATS_PASSWORD", "other", {"pgbouncer", "pgbouncer-ts", *OURS}),
        ("COLLECTOR_MAINTAINER_PASSWORD", "other", set(DAGSTER)),
        ("COLLECTOR_MONITOR_PASSWORD", "other", set(OURS)),
        # Neither Dagster nor a run has it.
        ("COLLECTOR_READER_PASSWORD", "other", set()),
    ],
)
def test_a_change_restarts_what_it_concerns(
    tmp_path: Path, variable: str, value: str, changed: set[str]
) -> None:
    environment = fresh_environment(CHECKOUT, tmp_path, PASSWORDS)
    prints = []
    for variant in (environment, {**environment, variable: value}):
        programs = plan(tmp_path, Path("/debian"), variant, MACHINE)
        prints.append({program.name: program.fingerprint() for program in programs})
    differing = {name for name, value in prints[0].items() if prints[1][name] != value}
    assert differing == changed


@pytest.mark.parametrize("value", ["", "http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(StackError, match="VALKEY_PORT="):
        planned(tmp_path, VALKEY_PORT=value)


def test_a_database_name_cannot_smuggle_settings_in() -> None:
    with pytest.raises(StackError, match="cannot be a database name"):
        pgbouncer("session", 1, "h", 2, "disable", ["x = host=evil\n[users]"], PASSWORDS)


def test_quotes_in_a_password_reach_pgbouncer() -> None:
    passwords = {**PASSWORDS, "PGBOUNCER_AUTH_PASSWORD": 'a"b'}
    files = pgbouncer("session", 1, "h", 2, "disable", ["x"], passwords)
    assert files["userlist.txt"].startswith('"pgbouncer" "a""b"\n')


def test_the_sandbox_has_one_writable_place(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\npostgres:x:101:103::/:/bin/sh\n")
    command = sandbox.command(tmp_path, Path("/somewhere/data"), ["postgres", "-c", "x"])
    assert command[command.index("--uid") + 1] == "101"
    assert command[command.index("--gid") + 1] == "103"
    binds = [index for index, word in enumerate(command) if word == "--bind"]
    assert [command[index + 1 : index + 3] for index in binds] == [["/somewhere/data", "/data"]]
    assert command[-4:] == ["--", "postgres", "-c", "x"]
    other = sandbox.command(tmp_path, Path("/somewhere/data"), ["x"], user="root")
    assert other[other.index("--uid") + 1] == "0"


def test_migrations_demand_what_env_says_or_encryption_beyond_this_machine(tmp_path: Path) -> None:
    environment = fresh_environment(CHECKOUT, tmp_path, {})
    url = TARGETS["application"].url
    local = url(environment)
    assert local.startswith("postgres://stockeasy_migrator@127.0.0.1:5432/stockeasy?")
    assert local.endswith(
        f"sslmode=verify-full&sslrootcert={quote(f'{tmp_path}', safe='')}"
        "%2Fcertificates%2Fauthorities.crt"
    )
    silent = {**environment, "APP_DB_SERVER_SSLMODE": "", "APP_DB_SERVER_SSLROOTCERT": ""}
    assert url(silent).endswith("?sslmode=disable")
    assert "sslmode" not in url({**silent, "APP_DB_SERVER_HOST": "db.example"})


@pytest.mark.parametrize("server", ["APP_DB", "APP_DB_SERVER", "TIMESCALE", "TIMESCALE_SERVER"])
def test_plain_connections_to_embedded_servers_are_refused_at_once(
    tmp_path: Path, server: str
) -> None:
    with pytest.raises(StackError, match=f"^{server}_SSLMODE=disable, but the embedded servers"):
        planned(tmp_path, **{f"{server}_SSLMODE": "disable"})


def test_only_the_looking_up_users_password_is_in_a_poolers_files() -> None:
    files = pgbouncer("session", 1, "h", 2, "verify-full", ["x"], PASSWORDS)
    looking_up, statistics = files["userlist.txt"].splitlines()
    assert looking_up == '"pgbouncer" "secret-PGBOUNCER_AUTH_PASSWORD"'
    assert re.fullmatch(
        r'"pgbouncer_stats" "SCRAM-SHA-256\$4096:[\w+/=]+\$[\w+/=]+:[\w+/=]+"', statistics
    )


def test_a_port_and_its_holder_are_found() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        server.listen()
        assert not processes.is_free(port)
        assert processes.listener(port) == os.getpid()
        assert f"process {os.getpid()}" in processes.describe(os.getpid())
    assert processes.is_free(port)
    assert processes.listener(port) is None


def test_private_files_are_private_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, "one")
    first = file.stat()
    assert first.st_mode & 0o777 == 0o600
    write_private(file, "one")
    assert file.stat().st_mtime_ns == first.st_mtime_ns
    write_private(file, "two")
    assert file.read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
