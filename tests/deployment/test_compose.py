"""docker-compose.yml: what it says, where no engine runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from embedded.environment import variables as variables_of
from embedded.paths import CHECKOUT
from resources.settings import MarketSettings
from tests.deployment.conftest import Compose, Config

DEVELOPMENT = ("docker-compose.yml", "docker-compose.development.yml")
OURS = ("migrate", "code-server", "webserver", "webserver-read-only", "daemon", "metrics", "demo")
SERVERS = ("timescaledb", "postgres", "pgbouncer-ts", "pgbouncer", "valkey")
EXAMPLE = (CHECKOUT / ".env.example").read_text(encoding="utf-8")


def test_compose_accepts_it(config: Config) -> None:
    assert {*OURS, *SERVERS, "configuration", "proxy", "prometheus", "grafana"} == set(
        config["services"]
    )


def test_without_env_nothing_starts(compose: Compose) -> None:
    result = compose("config", "--quiet", variables={})
    assert result.returncode != 0
    assert re.search(r"_PASSWORD.*run make env", result.stderr)


def test_every_password_must_be_set(compose: Compose, variables: dict[str, str]) -> None:
    """None has a default: an empty one is named."""
    names = [name for name in variables if name.endswith("_PASSWORD")]
    # Is that of COLLECTOR_DB_PASSWORD.
    names.remove("TIMESCALE_PASSWORD")
    assert len(names) > 10
    for name in names:
        result = compose("config", "--quiet", variables={**variables, name: ""})
        assert result.returncode != 0, name
        assert name in result.stderr


def test_every_variable_is_described(config: Config) -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
    text += (CHECKOUT / "docker-compose.development.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert used <= set(variables_of(EXAMPLE))


def test_the_code_server_is_told_everything_about_the_market(config: Config) -> None:
    told = set(config["services"]["code-server"]["environment"])
    assert {name.upper() for name in MarketSettings.model_fields} <= told


def test_every_file_it_names_exists(config: Config) -> None:
    for name, service in config["services"].items():
        for mount in service.get("volumes", []):
            source = Path(mount["source"])
            # What the user brings: dumps, and who may log in.
            if mount["type"] == "bind" and mount["target"] not in ("/market-data", "/data/users"):
                assert source.exists(), (name, source)


def test_volumes_and_networks_are_used(config: Config) -> None:
    mounts = [mount for service in config["services"].values() for mount in service["volumes"]]
    assert {m["source"] for m in mounts if m["type"] == "volume"} == set(config["volumes"])
    assert config["networks"]["inside"]["internal"] is True


def test_only_the_ui_is_published_and_on_loopback(config: Config) -> None:
    published = {
        name: [port["host_ip"] for port in service["ports"]]
        for name, service in config["services"].items()
        if service.get("ports")
    }
    assert published == {
        "webserver": ["127.0.0.1"],
        "webserver-read-only": ["127.0.0.1"],
        "proxy": ["127.0.0.1", "127.0.0.1"],
        "grafana": ["127.0.0.1"],
    }


@pytest.mark.parametrize("name", SERVERS)
def test_servers_are_reached_from_inside_only(config: Config, name: str) -> None:
    assert list(config["services"][name]["networks"]) == ["inside"]


def test_development_publishes_the_servers_on_loopback(
    compose: Compose, variables: dict[str, str]
) -> None:
    result = compose("config", "--format", "json", variables=variables, files=DEVELOPMENT)
    services = json.loads(result.stdout)["services"]
    ports = {name: services[name]["ports"][0] for name in SERVERS}
    assert {name: int(port["published"]) for name, port in ports.items()} == {
        "timescaledb": 5433,
        "postgres": 5432,
        "pgbouncer-ts": 6433,
        "pgbouncer": 6432,
        "valkey": 6379,
    }
    assert {port["host_ip"] for port in ports.values()} == {"127.0.0.1"}


def test_images_are_pinned_and_services_bounded(config: Config) -> None:
    for name, service in config["services"].items():
        image, _, tag = service["image"].rpartition(":")
        assert re.search(r"\d", tag) or image == "stock-assets", (name, service["image"])
        assert int(service["mem_limit"]) > 0, name
        assert service["restart"] in ("unless-stopped", "no"), name


def test_what_stays_up_is_health_checked(config: Config) -> None:
    for name, service in config["services"].items():
        if service["restart"] == "unless-stopped" and name != "proxy":
            assert service["healthcheck"]["test"], name


def test_everything_waits_for_what_it_needs(config: Config) -> None:
    def before(name: str) -> set[str]:
        needed = config["services"][name].get("depends_on", {})
        return set(needed).union(*(before(other) for other in needed))

    assert {"timescaledb", "postgres", "pgbouncer", "pgbouncer-ts", "migrate"} <= before("daemon")
    for name, service in config["services"].items():
        for other, condition in service.get("depends_on", {}).items():
            ends = config["services"][other]["restart"] == "no"
            wanted = "service_completed_successfully" if ends else "service_healthy"
            assert condition["condition"] == wanted, (name, other)


@pytest.mark.parametrize("name", OURS)
def test_ours_run_as_nobody_in_particular(config: Config, name: str) -> None:
    service = config["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "user" not in service
    assert re.search(r"^USER stock-assets$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)


def test_who_needs_no_secret_has_none(config: Config) -> None:
    def secrets(name: str) -> set[str]:
        environment = config["services"][name].get("environment") or {}
        return {key for key in environment if key.endswith("_PASSWORD")}

    for name in ("webserver", "webserver-read-only", "daemon"):
        assert secrets(name) == {"DAGSTER_DB_PASSWORD"}
    assert secrets("metrics") == {
        "COLLECTOR_MONITOR_PASSWORD",
        "APP_DB_MONITOR_PASSWORD",
        "PGBOUNCER_STATS_PASSWORD",
    }
    assert not any("MIGRATOR" in key for key in secrets("code-server"))
    assert not any("SUPERUSER" in key for name in OURS for key in secrets(name))
    assert secrets("pgbouncer") == secrets("pgbouncer-ts") == secrets("proxy") == set()


def test_the_image_copies_what_is_there() -> None:
    """Every COPY of the Dockerfile names files that exist and that .dockerignore lets through."""
    let_through = {
        line[1:]
        for line in (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    dockerfile = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    files = [file for line in copied for file in line.split()]
    assert files
    assert set(files) <= let_through
    assert all((CHECKOUT / file).exists() for file in let_through)


def test_the_workspace_names_the_code_server_that_compose_starts(config: Config) -> None:
    (origin,) = yaml.safe_load((CHECKOUT / "deploy/workspace.yaml").read_text())["load_from"]
    environment = config["services"]["webserver"]["environment"]
    server = origin["grpc_server"]
    assert environment[server["host"]["env"]] == "code-server"
    assert environment[server["port"]["env"]] == "4000"
