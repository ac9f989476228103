"""Processes killed in the middle of a backfill: it ends by itself, with complete data and a true
record. Everything is real: servers, poolers, Dagster's daemon, webserver and run workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.tags import BACKFILL_ID_TAG

from embedded import processes
from embedded.paths import CHECKOUT
from embedded.stack import Stack
from resources.databases import TimescaleDB
from resources.ledger import newest_commits
from resources.tables import Dataset
from stock_assets.record import newest_records
from stock_assets.workers import Worker
from tests.conftest import stack_environment
from tests.faults.live import (
    MARKET,
    MINUTE_BARS,
    SESSIONS,
    command,
    committed,
    executed,
    finished,
    halted,
    launch_backfill,
    launch_run,
    loading,
    require_all,
)
from tests.integration.access import eventually, login


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
    backfill_id = launch_backfill(live, "minute_bars", SESSIONS)
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


@pytest.mark.parametrize("started_by", ["the daemon", "a command"])
def test_a_killed_run_gives_its_slot_back(
    started_by: str, live: Stack, ledger: TimescaleDB, instance: dg.DagsterInstance
) -> None:
    """Of the two slots the killed run has one and a run that stands still the other."""

    def worker(run_id: str) -> Worker | None:
        return dict((run.run_id, worker) for run, worker in executed(instance)).get(run_id)

    def status(run_id: str) -> dg.DagsterRunStatus:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    with ExitStack() as stack:
        if started_by == "a command":
            process = stack.enter_context(command(live))
            eventually(lambda: any(by.pid == process.pid for _, by in executed(instance)), 90)
            (killed,) = [run.run_id for run, by in executed(instance) if by.pid == process.pid]
        else:
            killed = launch_run(live)
        eventually(lambda: committed(ledger, 3), 90)
        victim = worker(killed)
        assert victim is not None
        stack.enter_context(halted(victim))
        other = launch_run(live, SESSIONS[:10])
        eventually(lambda: worker(other) is not None, 180)
        bystander = worker(other)
        assert bystander is not None
        stack.enter_context(halted(bystander))
        waiting = launch_run(live, SESSIONS[:1])
        eventually(lambda: status(waiting) is dg.DagsterRunStatus.QUEUED)
        os.kill(victim.pid, signal.SIGKILL)
        eventually(lambda: status(killed) is dg.DagsterRunStatus.FAILURE, 150)
        eventually(lambda: finished(instance, waiting), 240)
        assert status(other) is dg.DagsterRunStatus.STARTED
    (failure,) = instance.all_logs(killed, of_type=dg.DagsterEventType.RUN_FAILURE)
    (launched,) = instance.all_logs(waiting, of_type=dg.DagsterEventType.RUN_STARTING)
    assert launched.timestamp > failure.timestamp
    eventually(lambda: finished(instance, other), 120)
    if started_by == "the daemon":
        # It is tried again, and goes on where it stopped.
        eventually(lambda: finished(instance, killed), 240)
        require_all(live, ledger, instance)
        return
    assert f"process {victim.pid} on" in failure.message
    assert "is gone" in failure.message
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
