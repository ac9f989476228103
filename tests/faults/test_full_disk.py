"""A disk that is full: TimescaleDB's data on 200 MB of its own.

PostgreSQL survives when a table cannot grow; when its log (WAL) cannot, it dies, and starts again
once there is space.
"""

from collections.abc import Callable, Iterator
from datetime import date

import pytest

from embedded.stack import Stack
from resources import databases
from resources.calendar import krx_calendar, seoul_now
from resources.databases import TimescaleDB
from resources.ingestion import IngestionError, ingest
from resources.loading import Attempt
from resources.sources.simulated.source import SimulatedSource
from resources.tables import DAILY_BARS
from tests.faults.agreement import assert_agreement
from tests.faults.small_disk import SmallDisk, small_disk
from tests.integration.access import can_log_in, eventually, login
from tests.project import finished, make_project, start_dg

MIB = 2**20
WAL_SEGMENT = 16 * MIB
SYMBOLS = 2_700
FULL = "the server's disk is full; make space on it, then run this session again"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk") / "stack", 200 * MIB) as disk:
        yield disk


@pytest.fixture
def stack(disk: SmallDisk) -> Stack:
    """Fixtures that want the servers get these."""
    return disk.stack


@pytest.fixture(scope="module")
def sessions() -> Iterator[date]:
    """One session after the other, for both tests."""
    days = krx_calendar().sessions
    return iter(days[days.index(date(2025, 1, 2)) :])


@pytest.fixture
def ask(stack: Stack) -> Callable[..., list[tuple[object, ...]]]:
    def ask(sql: str, parameters: object = None) -> list[tuple[object, ...]]:
        with login(stack, "timescaledb") as connection:
            return connection.execute(sql, parameters).fetchall()

    return ask


@pytest.fixture
def load(stack: Stack, sessions: Iterator[date]) -> Callable[..., date]:
    source = SimulatedSource(krx_calendar(), seoul_now, size=SYMBOLS)
    database = TimescaleDB.from_environment(stack.environment)

    def load(session: date | None = None) -> date:
        session = session or next(sessions)
        now = seoul_now()
        attempt = Attempt(DAILY_BARS, session, None, "run", source.name, True, False, now)
        ingest(source, database, attempt, source_timeout=60, now=now)
        return session

    return load


@pytest.fixture
def log_space(ask) -> Callable[[], int]:
    """Bytes that can be logged before the log needs another segment."""

    def log_space() -> int:
        ((position,),) = ask("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        return WAL_SEGMENT - position % WAL_SEGMENT

    return log_space


def test_sessions_that_do_not_fit_fail_and_load_once_there_is_space(
    disk, stack, sessions, load, log_space, ask, tmp_path
):
    load()
    while log_space() < 12 * MIB:
        load()
    disk.leave(2 * MIB)

    wanted = [next(sessions) for _ in range(9)]
    settings = {"SIMULATED_SYMBOLS": str(SYMBOLS), "DAILY_BARS_FIRST_SESSION": "2025-01-02"}
    project = make_project(tmp_path, stack.environment | settings)
    range_of_sessions = ("--partition-range", f"{wanted[0]}...{wanted[-1]}")
    backfill = ("launch", "--assets", "daily_bars", *range_of_sessions)
    result = finished(start_dg(project, *backfill))
    assert result.returncode == 1

    database = TimescaleDB.from_environment(stack.environment)
    whole = assert_agreement(ask, database, DAILY_BARS)
    assert set(whole.values()) == {SYMBOLS}
    failed = [session for session in wanted if session not in whole]
    assert 0 < len(failed) < len(wanted)
    heading = f"{len(failed)} of {len(wanted)} sessions of daily_bars were not loaded:\n"
    lines = (result.stdout + result.stderr).split(heading)[1].splitlines()[: len(failed)]
    # So full a disk may not hold the ledger's row either; then the run says so.
    recorded = dict(ask("SELECT session, error FROM ingest_ledger WHERE outcome = 'failed'"))
    for session, line in zip(failed, lines, strict=True):
        assert line.startswith(f"{session}: TimescaleDB ")
        assert FULL in line
        assert FULL in recorded.get(session, "") or "the attempt is not in the ledger" in line

    disk.leave(100 * MIB)
    result = finished(start_dg(project, *backfill))
    assert result.returncode == 0, result.stderr[-3000:]
    whole = assert_agreement(ask, database, DAILY_BARS)
    assert set(whole.values()) == {SYMBOLS}
    assert set(wanted) <= whole.keys()


def test_a_server_that_died_of_it_comes_back_once_there_is_space(
    disk, stack, sessions, load, log_space, ask, monkeypatch
):
    monkeypatch.setattr("tenacity.wait_exponential_jitter.__call__", lambda *_: 0)
    monkeypatch.setitem(databases.LIMITS, "connect_timeout", "1")
    load()
    while log_space() > 4 * MIB:
        load()
    disk.leave(WAL_SEGMENT - 2 * MIB)

    before = set(assert_agreement(ask, TimescaleDB.from_environment(stack.environment), DAILY_BARS))
    with pytest.raises(IngestionError) as error:
        for session in sessions:
            load(session)
            before.add(session)
    assert FULL in str(error.value)
    assert "pg_wal" in str(error.value)
    assert "\n" not in str(error.value)
    assert not can_log_in(stack, "timescaledb")

    disk.leave(100 * MIB)
    eventually(lambda: can_log_in(stack, "pgbouncer-ts"), 90)
    database = TimescaleDB.from_environment(stack.environment)
    assert set(assert_agreement(ask, database, DAILY_BARS)) == before
    load(session)
    whole = assert_agreement(ask, database, DAILY_BARS)
    assert set(whole) == before | {session}
    assert set(whole.values()) == {SYMBOLS}
