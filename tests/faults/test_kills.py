"""Processes killed in the middle of a backfill: it ends by itself, with complete data and a true
record. Everything is real: servers, poolers, Dagster's daemon, webserver and run workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date

import dagster as dg
import psycopg
import pytest
import requests
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.tags import BACKFILL_ID_TAG
from sqlalchemy.exc import DBAPIError

from embedded import processes
from embedded.paths import CHECKOUT
from embedded.stack import Stack
from resources.calendar import krx_calendar
from resources.databases import TimescaleDB
from resources.ledger import newest_commits
from resources.settings import market_settings
from resources.sources.selection import select_source
from resources.statements import statement
from resources.tables import MINUTE_BARS as MINUTES
from resources.tables import Dataset
from stock_assets.record import newest_records
from stock_assets.workers import Worker, worker_of
from tests.conftest import stack_environment
from tests.integration.access import eventually, login

MINUTE_BARS = dg.AssetKey("minute_bars")
FIRST = krx_calendar().sessions.index(date(2025, 1, 2))
SESSIONS = krx_calendar().sessions[FIRST : FIRST + 20]
MARKET = {
    "MARKET_SOURCE": "simulated",
    "SIMULATED_SYMBOLS": "150",
    **{f"{dataset}_FIRST_SESSION".upper(): str(SESSIONS[0]) for dataset in Dataset},
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole stack, Dagster included, with embedded servers whatever pytest's option says."""
    directory = tmp_path_factory.mktemp("live")
    stack = Stack(directory, stack_environment(directory) | MARKET)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def instance(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the live stack, without any record of minute bars."""
    for name, value in live.environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(CHECKOUT)) as instance:
        instance.wipe_assets([MINUTE_BARS])
        yield instance


@pytest.fixture
def ledger(live: Stack, instance: dg.DagsterInstance) -> TimescaleDB:
    """TimescaleDB of the live stack, empty."""
    with login(live, "timescaledb") as owner:
        owner.execute("TRUNCATE stock_prices, ingest_ledger, quarantine")
    return TimescaleDB.from_environment(live.environment)


def ask(stack: Stack, query: str, **variables: object) -> dict[str, object]:
    """Ask the webserver, as the UI does."""
    url = f"http://127.0.0.1:{stack.environment['DAGSTER_UI_PORT']}/graphql"
    answer = requests.post(url, json={"query": query, "variables": variables}, timeout=60).json()
    (content,) = answer["data"].values()
    return content


def answered(stack: Stack, query: str, **variables: object) -> dict[str, object]:
    """The answer of a webserver whose connections may be of a server that was killed since; each
    such one costs a question."""
    answers: list[dict[str, object]] = []

    def well() -> bool:
        try:
            answers.append(ask(stack, query, **variables))
        except requests.RequestException:
            return False
        return not str(answers[-1]["__typename"]).endswith("Error")

    eventually(well, 60)
    return answers[-1]


def launch_run(stack: Stack) -> str:
    """Queue a run over all sessions; return its id."""
    content = answered(
        stack,
        """mutation ($params: ExecutionParams!) {
            launchPipelineExecution(executionParams: $params) {
                __typename
                ... on LaunchRunSuccess { run { runId } }
                ... on PythonError { message }
            }
        }""",
        params={
            "selector": {
                "repositoryLocationName": "stock_assets",
                "repositoryName": "__repository__",
                "pipelineName": "minute_bars_collection",
            },
            "mode": "default",
            "executionMetadata": {
                "tags": [
                    {"key": "dagster/asset_partition_range_start", "value": str(SESSIONS[0])},
                    {"key": "dagster/asset_partition_range_end", "value": str(SESSIONS[-1])},
                ]
            },
        },
    )
    return str(content["run"]["runId"])  # type: ignore[index]


def launch_backfill(stack: Stack) -> str:
    """Start a backfill of all sessions; return its id."""
    content = answered(
        stack,
        """mutation ($params: LaunchBackfillParams!) {
            launchPartitionBackfill(backfillParams: $params) {
                __typename
                ... on LaunchBackfillSuccess { backfillId }
                ... on PythonError { message }
            }
        }""",
        params={
            "assetSelection": [{"path": ["minute_bars"]}],
            "partitionNames": [str(session) for session in SESSIONS],
        },
    )
    return str(content["backfillId"])


def committed(ledger: TimescaleDB, sessions: int) -> bool:
    return len(newest_commits(ledger, Dataset.MINUTE_BARS)) >= sessions


def finished(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run, or the last of its retries, is over and well."""
    try:
        group = instance.get_run_group(run_id)
    except DBAPIError:
        return False
    return group is not None and any(run.is_success for run in group[1])


@contextmanager
def held_back(stack: Stack) -> Iterator[None]:
    """Meanwhile no run gets past the last session: what is killed is killed before its end."""
    # Closed, it has no lock any more, whether its server lives or not.
    with closing(login(stack, "timescaledb")) as connection:
        about = (MINUTES.name, SESSIONS[-1])
        psycopg.RawCursor(connection).execute(statement("loading/lock_session"), about)
        yield


def require_all(stack: Stack, ledger: TimescaleDB, instance: dg.DagsterInstance) -> None:
    """Every session holds just what the source gives, and the record is about its commit."""
    source = select_source(market_settings(stack.environment))
    with login(stack, "pgbouncer-ts") as connection:
        held = connection.execute(
            """SELECT (time AT TIME ZONE 'Asia/Seoul')::date, count(*), sum(volume)::bigint
               FROM stock_prices GROUP BY 1 ORDER BY 1"""
        ).fetchall()
    frames = {session: source.minute_bars(session, None) for session in SESSIONS}
    assert held == [
        (session, len(frame), int(frame["volume"].sum())) for session, frame in frames.items()
    ]
    commits = newest_commits(ledger, Dataset.MINUTE_BARS)

    def recorded() -> bool:
        records = newest_records(instance, MINUTE_BARS)
        return {day: record.commit for day, record in records.items()} == {
            str(session): str(commit.id) for session, commit in commits.items()
        }

    # What the run itself could not record is healed within two ticks.
    eventually(recorded, 150)


@pytest.mark.parametrize(
    "name",
    ["timescaledb", "pgbouncer-ts", "postgres", "pgbouncer", "dagster-daemon"],
)
def test_a_run_outlives_a_killed(
    name: str, live: Stack, ledger: TimescaleDB, instance: dg.DagsterInstance
) -> None:
    run_id = launch_run(live)
    eventually(lambda: committed(ledger, 3), 90)
    os.kill(live.process(name), signal.SIGKILL)
    eventually(lambda: finished(instance, run_id), 240)
    require_all(live, ledger, instance)


def loading(stack: Stack) -> int:
    """Process id of the server process that has a session's lock, and so is writing it; or 0."""
    with login(stack, "timescaledb") as connection:
        row = connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        ).fetchone()
    return int(row[0]) if row else 0


def executed(instance: dg.DagsterInstance, **tags: str) -> list[tuple[dg.DagsterRun, Worker]]:
    """Runs under way and who executes them; schedules and sensors have theirs beside the test's."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags=tags)
    runs = [(run, worker_of(run)) for run in instance.get_runs(started)]
    return [(run, worker) for run, worker in runs if worker]


def test_a_backfill_goes_on_when_its_run_is_killed_in_mid_load(
    live: Stack, ledger: TimescaleDB, instance: dg.DagsterInstance
) -> None:
    """The session that was being replaced stays as it was, and nothing is loaded twice."""
    first = launch_run(live)
    eventually(lambda: finished(instance, first), 120)
    with login(live, "timescaledb") as owner:
        # Rows that another load can be told from.
        owner.execute("UPDATE stock_prices SET trading_value = -1")
        owner.execute("TRUNCATE ingest_ledger")
    instance.wipe_assets([MINUTE_BARS])
    backfill_id = launch_backfill(live)
    eventually(lambda: committed(ledger, 3), 120)
    eventually(lambda: loading(live) > 0)
    ((_, worker),) = executed(instance, **{BACKFILL_ID_TAG: backfill_id})
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: loading(live) == 0)
    with login(live, "timescaledb") as owner:
        sessions = owner.execute(
            """SELECT count(*), count(*) FILTER (WHERE trading_value = -1)
               FROM stock_prices GROUP BY (time AT TIME ZONE 'Asia/Seoul')::date"""
        ).fetchall()
    assert len(sessions) == len(SESSIONS)
    assert all(old in (0, rows) for rows, old in sessions)

    def completed() -> bool:
        backfill = instance.get_backfill(backfill_id)
        return backfill is not None and backfill.status is BulkActionStatus.COMPLETED_SUCCESS

    eventually(completed, 240)
    with login(live, "timescaledb") as owner:
        attempts = owner.execute("SELECT outcome, count(*) FROM ingest_ledger GROUP BY 1")
        assert attempts.fetchall() == [("committed", len(SESSIONS))]
    require_all(live, ledger, instance)


def test_a_killed_command_gives_its_slot_back(
    live: Stack, ledger: TimescaleDB, instance: dg.DagsterInstance
) -> None:
    """Nothing watches a run that was started in a shell."""
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "minute_bars"]
    command += ["--partition-range", f"{SESSIONS[0]}...{SESSIONS[-1]}"]
    command += ["-m", "stock_assets.definitions"]
    environment = {**os.environ, "DAGSTER_HOME": str(CHECKOUT)}
    quiet = subprocess.DEVNULL
    with (
        held_back(live),
        # Elsewhere than in the checkout, whose .env Dagster would read.
        subprocess.Popen(
            command, cwd=live.directory, env=environment, stdout=quiet, stderr=quiet
        ) as process,
    ):
        eventually(lambda: committed(ledger, 3), 90)
        process.kill()
    (run,) = [run for run, worker in executed(instance) if worker.pid == process.pid]

    def failed() -> bool:
        now = instance.get_run_by_id(run.run_id)
        return now is not None and now.status is dg.DagsterRunStatus.FAILURE

    eventually(failed, 150)
    (event,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert f"process {process.pid} on" in event.message
    assert "is gone" in event.message
    # What it had committed is recorded, though nobody goes on with it.
    commits = newest_commits(ledger, Dataset.MINUTE_BARS)
    eventually(lambda: len(newest_records(instance, MINUTE_BARS)) == len(commits), 150)
    assert len(commits) < len(SESSIONS)


def test_a_pulled_plug_loses_nothing(
    live: Stack, ledger: TimescaleDB, instance: dg.DagsterInstance
) -> None:
    """Everything is killed at once, and started again."""
    run_id = launch_run(live)
    eventually(lambda: committed(ledger, 3), 90)

    def all_dead() -> bool:
        pids = processes.of_stack(live.directory)
        for pid in pids:
            # Some die of the others' death.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    # Again: while it lives itself, the supervisor starts what was killed before it.
    eventually(all_dead, 30)
    assert processes.wait_until_gone(live.directory, 30) == []
    live.start()
    assert committed(ledger, 3)
    eventually(lambda: finished(instance, run_id), 300)
    require_all(live, ledger, instance)
