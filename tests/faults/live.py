"""A stack with Dagster under way, as the tests that kill its processes drive and judge it: a
backfill of minute bars of the simulated market."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date

import dagster as dg
import requests
from sqlalchemy.exc import DBAPIError

from embedded.paths import CHECKOUT
from embedded.stack import Stack
from resources.calendar import krx_calendar
from resources.databases import TimescaleDB
from resources.ledger import newest_commits
from resources.settings import market_settings
from resources.sources.selection import select_source
from resources.tables import Dataset
from stock_assets.record import newest_records
from stock_assets.workers import Worker, worker_of
from tests.integration.access import ask, eventually, login

MINUTE_BARS = dg.AssetKey("minute_bars")
FIRST = krx_calendar().sessions.index(date(2025, 1, 2))
SESSIONS = krx_calendar().sessions[FIRST : FIRST + 20]
MARKET = {
    "MARKET_SOURCE": "simulated",
    "SIMULATED_SYMBOLS": "150",
    **{f"{dataset}_FIRST_SESSION".upper(): str(SESSIONS[0]) for dataset in Dataset},
}


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


def launch_run(stack: Stack, sessions: Sequence[date] = SESSIONS) -> str:
    """Queue a run over the sessions; return its id."""
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
                    {"key": "dagster/asset_partition_range_start", "value": str(sessions[0])},
                    {"key": "dagster/asset_partition_range_end", "value": str(sessions[-1])},
                ]
            },
        },
    )
    return str(content["run"]["runId"])  # type: ignore[index]


def launch_backfill(stack: Stack, asset: str, sessions: Iterable[date | str]) -> str:
    """Start a backfill of the sessions; return its id."""
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
            "assetSelection": [{"path": [asset]}],
            "partitionNames": [str(session) for session in sessions],
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


@contextmanager
def command(stack: Stack) -> Iterator[subprocess.Popen[bytes]]:
    """A load of all sessions that somebody started in a shell: nothing watches it."""
    arguments = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "minute_bars"]
    arguments += ["--partition-range", f"{SESSIONS[0]}...{SESSIONS[-1]}"]
    arguments += ["-m", "stock_assets.definitions"]
    environment = {**os.environ, "DAGSTER_HOME": str(CHECKOUT)}
    quiet = subprocess.DEVNULL
    # Elsewhere than in the checkout, whose .env Dagster would read.
    with subprocess.Popen(
        arguments, cwd=stack.directory, env=environment, stdout=quiet, stderr=quiet
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def halted(worker: Worker) -> Iterator[None]:
    """Meanwhile the worker does nothing, and lives: its run goes on for ever."""
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        # It may have been killed.
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)
