"""What the platform measures of itself, on real servers; and who measures can do nothing else."""

from __future__ import annotations

import threading
import time
from datetime import date

import psycopg
import pytest

from embedded.stack import Stack
from resources.calendar import krx_calendar
from resources.measurements import Measured, Measuring, Source
from resources.measurements.quantities import QUANTITIES
from resources.measurements.sources import sessions_behind, sources
from resources.settings import market_settings
from tests.integration.access import login

SOURCES = {"timescaledb", "postgres", "dagster", "pgbouncer-ts", "pgbouncer", "machine"}


def measure(stack: Stack, **changed: str) -> Measured:
    environment = {**stack.environment, **changed}
    return Measuring(sources(environment, market_settings(environment))).measure()


def up(measured: Measured) -> dict[str, float]:
    return {one.labels[0]: one.value for one in measured.measurements if one.quantity.name == "up"}


def test_every_source_answers_without_a_problem(stack: Stack, instance, clean) -> None:
    measured = measure(stack)
    assert measured.problems == {}
    assert up(measured) == dict.fromkeys(SOURCES, 1.0)
    found = {one.quantity.name for one in measured.measurements}
    # What needs loads, runs, compressed chunks, or a supervisor around us.
    optional = {"blocked_sessions", "failed_checks", "runs", "program_memory_bytes"}
    optional |= {name for name in QUANTITIES if "compress" in name}
    # A table that has no long values has no bytes of them.
    assert set(QUANTITIES) - found <= optional | {"toast_bytes"}


def test_numbers_are_those_of_the_servers(stack: Stack, query, instance) -> None:
    query("INSERT INTO daily_bars VALUES ('2025-01-02', '005930', 1, 1, 1, 1, 1)")
    query(
        "INSERT INTO realtime_prices (time, symbol, seq, price, volume) SELECT "
        "'2025-01-02 01:00+00'::timestamptz + day * interval '1 day', '005930', 1, 1, 1 "
        "FROM generate_series(0, 2) AS day"
    )
    measured = measure(stack)
    assert measured.value("chunks", "daily_bars") == 1
    assert measured.value("chunks", "realtime_prices") == 3
    ((rows, indexes),) = query(
        "SELECT table_bytes, index_bytes FROM hypertable_detailed_size('realtime_prices')"
    )
    assert measured.value("table_bytes", "realtime_prices") == rows
    assert measured.value("index_bytes", "realtime_prices") == indexes
    assert measured.value("max_connections", "timescaledb") == int(
        query("SHOW max_connections")[0][0]
    )
    assert 0 < measured.value("cache_hit_ratio", "timescaledb") <= 1
    assert abs(measured.value("clock_offset_seconds", "timescaledb")) < 5
    assert 0 < measured.value("disk_free_bytes") < measured.value("disk_bytes")
    slow = [one for one in measured.measurements if one.quantity.name == "statement_seconds_total"]
    assert 0 < len(slow) <= 40
    assert not [one for one in slow if "password" in one.labels[1].lower()]


def test_connections_and_pools_are_counted(stack: Stack) -> None:
    with login(stack, "pgbouncer-ts") as first, login(stack, "pgbouncer-ts") as second:
        for connection in (first, second):
            connection.execute("SELECT 1")
        measured = measure(stack)
        assert measured.value("servers_in_use", "pgbouncer-ts") >= 2
        of = ("pgbouncer-ts", stack.environment["TIMESCALE_DB"], "collector_user", "active")
        assert measured.value("pool_clients", *of) >= 2
        assert measured.value("connections", "timescaledb", "idle in transaction") >= 2


def test_who_waits_for_a_lock_is_seen(stack: Stack, clean) -> None:
    with login(stack, "timescaledb") as holder, login(stack, "timescaledb") as waiter:
        holder.execute("LOCK TABLE quarantine")

        def wait() -> None:
            waiter.execute("LOCK TABLE quarantine")

        waiting = threading.Thread(target=wait)
        waiting.start()
        deadline = time.monotonic() + 20
        while measure(stack).value("lock_waits", "timescaledb") < 1:
            assert time.monotonic() < deadline
        holder.rollback()
        waiting.join()


def test_the_ledgers_lag_is_told_in_sessions() -> None:
    calendar = krx_calendar()
    behind = sessions_behind
    first, due = date(2025, 1, 2), date(2025, 1, 7)
    # 2, 3, 6 and 7 January 2025.
    assert behind(calendar, None, due, first) == 4
    assert behind(calendar, date(2025, 1, 3), due, first) == 2
    assert behind(calendar, due, due, first) == 0
    assert behind(calendar, date(2025, 1, 8), due, first) == 0
    assert behind(calendar, None, None, first) == 0


@pytest.mark.parametrize(
    ("change", "down"),
    [
        ({"TIMESCALE_PORT": "1"}, {"timescaledb", "pgbouncer-ts"}),
        ({"APP_DB_PORT": "1"}, {"postgres", "dagster", "pgbouncer"}),
        ({"COLLECTOR_MONITOR_PASSWORD": "wrong"}, {"timescaledb"}),
        ({"PGBOUNCER_STATS_PASSWORD": "wrong"}, {"pgbouncer", "pgbouncer-ts"}),
    ],
)
def test_what_is_away_is_named_and_the_rest_is_measured(
    stack: Stack, instance, change: dict[str, str], down: set[str]
) -> None:
    measured = measure(stack, **change)
    assert up(measured) == {name: float(name not in down) for name in SOURCES}
    assert measured.problems.keys() == down
    assert all("cannot reach" in problem for problem in measured.problems.values())


def test_a_source_that_hangs_costs_its_own_numbers_only() -> None:
    going = threading.Event()
    asked: list[str] = []

    def hang(add: object) -> list[str]:
        asked.append("hanging")
        going.wait(60)
        return []

    def answer(add) -> list[str]:
        add("runs", ["success"], 7)
        return []

    measuring = Measuring([Source("hanging", hang), Source("quick", answer)], seconds=0.2)
    for _ in range(3):
        measured = measuring.measure()
        assert up(measured) == {"hanging": 0.0, "quick": 1.0}
        assert "no answer within" in measured.problems["hanging"]
        assert measured.value("runs", "success") == 7
    # A thread for each scrape would pile up.
    assert asked == ["hanging"]
    going.set()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO quarantine (asset) VALUES ('x')",
        "SELECT * FROM daily_bars",
        "SELECT * FROM quarantine",
        "CREATE TABLE anything ()",
        "CREATE TEMPORARY TABLE anything ()",
        "DELETE FROM ingest_ledger",
    ],
)
def test_who_measures_neither_writes_nor_reads_the_market(connect_as, clean, statement) -> None:
    with connect_as("collector_monitor") as monitor:
        monitor.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute(statement)


def test_who_measures_counts_runs_and_cannot_read_them(stack: Stack, instance) -> None:
    with login(
        stack,
        "postgres",
        user="stockeasy_monitor",
        password=stack.environment["APP_DB_MONITOR_PASSWORD"],
        autocommit=True,
    ) as monitor:
        assert monitor.execute("SELECT * FROM monitoring.runs()").fetchall() == []
        for read in ("SELECT * FROM public.runs", "SELECT * FROM public.event_logs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                monitor.execute(read)
