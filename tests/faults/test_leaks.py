"""Failures of every kind are provoked in a whole stack; then no secret is in any log, database,
command line or message."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme
from adbc_driver_postgresql import dbapi  # noqa: F401 - imported before passwords change hands

from embedded import migrations, processes
from embedded.environment import ensure_environment
from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.programs import NOT_DAGSTERS, Kind
from embedded.stack import Stack
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.deployment import TimescaleMigrator
from resources.settings import SettingsError, market_settings
from tests.conftest import stack_environment
from tests.faults import leaks
from tests.integration.access import eventually, login
from tests.project import finished, make_project, start_dg

SESSION = "2025-01-02"
#: Not what set-up makes: characters that programs write in different ways.
ODD = 'it\'s a/b:c@d %41 "é" ?#&'
WRONG = "the-wrong-password-of-this-test"


@dataclass(frozen=True)
class Provoked:
    """A stack in which everything has failed, and what was said about it."""

    stack: Stack
    known: dict[str, set[str]]
    said: dict[str, str]
    command_lines: set[bytes]
    environments: dict[int, bytes]


@pytest.fixture(scope="module")
def provoked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provoked]:
    directory = tmp_path_factory.mktemp("leaks")
    environment = stack_environment(directory / "stack") | {
        "COLLECTOR_MIGRATOR_PASSWORD": ODD,
        "MARKET_SOURCE": "simulated",
        "SIMULATED_SYMBOLS": "3",
        "DAILY_BARS_FIRST_SESSION": SESSION,
    }
    stack = Stack(directory / "stack", environment)
    known = leaks.secrets({**environment, "WRONG_PASSWORD": WRONG})
    with leaks.watched_command_lines() as command_lines:
        try:
            stack.start()
            said = provoke(stack, directory)
            environments = {
                pid: leaks.environment_of(pid) for pid in processes.of_stack(stack.directory)
            }
            yield Provoked(stack, known, said, command_lines, environments)
        finally:
            stack.stop()


def provoke(stack: Stack, directory: Path) -> dict[str, str]:
    """Fail in every way there is; gives what each failure said."""
    said: dict[str, str] = {}

    def fails(name: str, action: Callable[[], object], *expected: type[Exception]) -> None:
        with pytest.raises(expected) as error:
            action()
        chain: list[str] = []
        cause: BaseException | None = error.value
        while cause is not None:
            chain.append(repr(cause) + str(cause))
            cause = cause.__cause__ or cause.__context__
        said[name] = "\n".join(chain)

    stranger = directory / "stranger.crt"
    trustme.CA().cert_pem.write_to_path(str(stranger))

    # ---- connections ----
    for kind, prefix in ((TimescaleDB, "TIMESCALE"), (ApplicationDatabase, "APP_DB")):
        for name, value in {
            "PASSWORD": WRONG,
            "DB" if prefix == "TIMESCALE" else "NAME": "nowhere",
            "PORT": "1",
            "HOST": "[::1",
            "SSLROOTCERT": str(stranger),
            "SSLMODE": "always",
        }.items():
            changed = {**stack.environment, f"{prefix}_{name}": value}
            database = kind.from_environment(changed)
            fails(f"{prefix}_{name}", lambda database=database: connect(database), DatabaseError)
    # ---- migrations ----
    changes = (
        {"TIMESCALE_SERVER_HOST": "[::1"},
        {"TIMESCALE_SERVER_PORT": "1"},
        {"TIMESCALE_SERVER_PORT": "none"},
        {"TIMESCALE_DB": "nowhere"},
        {"TIMESCALE_SERVER_SSLROOTCERT": str(stranger)},
        {"COLLECTOR_MIGRATOR_PASSWORD": WRONG},
    )
    for change in changes:
        changed = {**stack.environment, **change}
        fails(f"migrations {change}", lambda changed=changed: migrate(changed), StackError)
        if change.get("TIMESCALE_SERVER_PORT") != "none":
            migrator = TimescaleMigrator.from_environment(changed)
            fails(f"migrator {change}", lambda login=migrator: connect(login), DatabaseError)
    broken = directory / "sql"
    shutil.copytree(CHECKOUT / "sql", broken)
    (broken / "timescale" / "29990101000000_broken.sql").write_text(
        "-- migrate:up\nSELECT nonsense;\n-- migrate:down\n"
    )
    fails("a migration", lambda: migrations.up(stack.environment, broken), StackError)
    # ---- the bootstrap: a statement that carries a password is the one that fails ----
    for name in ("postgres", "timescaledb"):
        script = broken / "bootstrap" / f"{name}.sql"
        good = script.read_text()
        script.write_text(good.replace("_password';", "_password' NONSENSE;"))
        assert script.read_text() != good
        failing = Stack(stack.directory, stack.environment, sql=broken)
        fails(f"bootstrap of {name}", failing.bootstrap, StackError)
        script.write_text(good)
    # ---- variables ----
    checkout = directory / "checkout"
    checkout.mkdir()
    shutil.copy(CHECKOUT / ".env.example", checkout)
    ensure_environment(checkout, {})
    text = (checkout / ".env").read_text().replace("VALKEY_PASSWORD=", "#VALKEY_PASSWORD=")
    (checkout / ".env").write_text(f"{text}\nnot a line {WRONG}\n")
    fails("an .env", lambda: ensure_environment(checkout, {}), StackError)
    ports = {**stack.environment, "VALKEY_PORT": "none"}
    fails("a port", lambda: Stack(stack.directory, ports), StackError)
    market = {**stack.environment, "MARKET_SOURCE": "bloomberg"}
    fails("a setting", lambda: market_settings(market), SettingsError)
    # ---- Dagster: commands, and a run through its daemon ----
    instances = ({"DAGSTER_DB_PASSWORD": WRONG}, {"APP_DB_PORT": "none"}, {"DAGSTER_DB_USER": ""})
    for change in instances:
        said[f"dagster {change}"] = command(stack, change, "-m", "dagster", "instance", "info")
    project = directory / "project"
    project.mkdir()
    for change in ({"TIMESCALE_PASSWORD": WRONG}, {"MARKET_SOURCE": "bloomberg"}):
        dg = make_project(project, stack.environment | change)
        result = finished(start_dg(dg, "launch", "--assets", "daily_bars", "--partition", SESSION))
        assert result.returncode
        said[f"dg {change}"] = result.stdout + result.stderr
        for link in project.iterdir():
            link.unlink()
    with login(stack, "timescaledb", autocommit=True) as owner:
        owner.execute("REVOKE INSERT ON daily_bars FROM collector_user")
    said["a load"] = failed_run(stack)
    with login(stack, "timescaledb", autocommit=True) as owner:
        owner.execute("GRANT INSERT ON daily_bars TO collector_user")
        row = owner.execute("SELECT error FROM ingest_ledger WHERE outcome = 'failed'").fetchone()
    assert row and "permission denied" in row[0]
    return said


def connect(database: TimescaleDB) -> None:
    with database.connect():
        pass


def migrate(environment: dict[str, str]) -> None:
    migrations.dbmate("timescale", "migrate", environment, CHECKOUT / "sql")


def command(stack: Stack, change: dict[str, str], *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments],
        env={"PATH": os.environ["PATH"], **stack.environment, **change},
        cwd=stack.directory / "dagster",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode
    return result.stdout + result.stderr


def failed_run(stack: Stack) -> str:
    """A run of the daemon's that fails in its load; gives all that the UI shows of it."""

    def ask(query: str, **variables: object) -> dict[str, object]:
        url = f"http://127.0.0.1:{stack.environment['DAGSTER_UI_PORT']}/graphql"
        answer = requests.post(url, json={"query": query, "variables": variables}, timeout=60)
        return dict(answer.json()["data"])

    runs: list[str] = []

    def launched() -> bool:
        # The webserver answers before it knows our code.
        content = ask(
            """mutation ($params: ExecutionParams!) {
                launchPipelineExecution(executionParams: $params) {
                    ... on LaunchRunSuccess { run { runId } }
                }
            }""",
            params={
                "selector": {
                    "repositoryLocationName": "stock_assets",
                    "repositoryName": "__repository__",
                    "pipelineName": "daily_bars_collection",
                },
                "mode": "default",
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": SESSION}]},
            },
        )["launchPipelineExecution"]
        runs.extend([content["run"]["runId"]] if "run" in content else [])  # type: ignore[index,operator]
        return bool(runs)

    eventually(launched, 120)
    seen: list[str] = []

    def over() -> bool:
        shown = ask(
            """query ($run: ID!) {
                runOrError(runId: $run) { ... on Run {
                    status runConfigYaml tags { key value }
                    eventConnection { events { ... on MessageEvent { message } } }
                } }
                instance { info }
                topLevelResourceDetailsListOrError: topLevelResourceDetailsOrError(
                    resourceSelector: {
                        repositoryLocationName: "stock_assets", repositoryName: "__repository__",
                        resourceName: "timescaledb"
                    }
                ) { ... on ResourceDetails { configuredValues { key value type } } }
            }""",
            run=runs[0],
        )
        seen.append(str(shown))
        return "'status': 'FAILURE'" in seen[-1]

    eventually(over, 180)
    assert "TIMESCALE_PASSWORD" in seen[-1]
    return seen[-1]


def test_no_message_shows_a_secret(provoked: Provoked) -> None:
    assert len(provoked.said) > 25
    assert all(provoked.said.values())
    found = {name: leaks.shown(text, provoked.known) for name, text in provoked.said.items()}
    assert {name: names for name, names in found.items() if names} == {}


def test_no_file_holds_a_secret_but_those_that_programs_read(provoked: Provoked) -> None:
    """Logs, compute logs, and whatever servers keep, statistics of statements among it."""
    directory = provoked.stack.directory
    assert leaks.shown_in_files(directory, provoked.known) == {}
    for name in leaks.PRIVATE:
        assert (directory / name).stat().st_mode & 0o777 == 0o600
        assert leaks.shown((directory / name).read_bytes(), provoked.known)
    assert list((directory / "dagster").rglob("*.err"))


@pytest.mark.parametrize("server", ["postgres", "timescaledb"])
def test_no_database_holds_a_secret(provoked: Provoked, server: str) -> None:
    """Events, run configurations and the ledger among it."""
    dump = leaks.dumped(provoked.stack, server)
    telling = {"postgres": "STEP_FAILURE", "timescaledb": "permission denied"}
    assert telling[server] in dump
    assert leaks.shown(dump, provoked.known) == []


def test_no_command_line_shows_a_secret(provoked: Provoked) -> None:
    seen = b"\n".join(provoked.command_lines)
    # A run's worker is spawned by the daemon's code server.
    for expected in (b"spawn_main", b"dbmate", b"psql", b"pgbouncer.ini", b"dagster._daemon"):
        assert expected in seen
    assert leaks.shown(seen, provoked.known) == []


def test_a_process_has_no_secret_that_it_does_not_need(provoked: Provoked) -> None:
    stack = provoked.stack
    foreign = {name: provoked.known[name] for name in NOT_DAGSTERS}
    runs = [env for env in provoked.environments.values() if leaks.shown(env, provoked.known)]
    assert len(runs) >= 2  # Dagster's
    assert [leaks.shown(env, foreign) for env in runs] == [[]] * len(runs)
    wrappers = stack.supervisor.pids()
    servers = [program.name for program in stack.programs if not program.kind.is_dagster]
    pids = [stack.supervisor.pid(), *(wrappers[name] for name in servers)]
    pids += [stack.process(name) for name in servers]
    assert all(pids)
    assert [leaks.shown(provoked.environments[pid or 0], provoked.known) for pid in pids] == [
        []
    ] * len(pids)
    assert Kind.DAEMON in {program.kind for program in stack.programs}
