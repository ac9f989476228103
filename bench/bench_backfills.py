"""Backfills of daily bars in one run, what a session costs beside its rows, and growth."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date

import dagster as dg
import pytest

from bench.market import SESSIONS, Dumps, daily_bars, minute_bars
from resources.calendar import seoul_now
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.settings import market_settings
from resources.tables import DAILY_BARS, MINUTE_BARS
from stock_assets.definitions import build_defs
from tests.integration.loading.dump import Dump

SETTINGS = market_settings({"DAILY_BARS_FIRST_SESSION": str(SESSIONS[0])})


@pytest.fixture
def backfill(instance, timescaledb) -> Callable[..., float]:
    """Seconds of a run of daily bars of so many symbols, in this process; with the asset's checks,
    as the UI starts it, or without."""

    def backfill(symbols: int, sessions: Sequence[date], *, checks: bool = False) -> float:
        resources = {"market_source": Dumps(size=symbols), "timescaledb": timescaledb}
        definitions = build_defs(resources, SETTINGS)
        asset = dg.AssetSelection.assets("daily_bars")
        job = dg.define_asset_job(
            "backfill",
            asset if checks else asset.without_checks(),
            executor_def=dg.in_process_executor,
        )
        definitions = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
        job = definitions.resolve_job_def("backfill")
        began = time.perf_counter()
        result = job.execute_in_process(
            instance=instance,
            tags={
                "dagster/asset_partition_range_start": str(sessions[0]),
                "dagster/asset_partition_range_end": str(sessions[-1]),
            },
        )
        assert result.success
        return time.perf_counter() - began

    return backfill


def bench_a_year_of_daily_bars(backfill, symbols, report):
    # Start-up is measured elsewhere.
    backfill(1, SESSIONS[:1])
    took = backfill(symbols, SESSIONS)
    rows = symbols * len(SESSIONS)
    singles = statistics.median(backfill(symbols, [session]) for session in SESSIONS[:10])
    report(
        "rows/s of 250 sessions of daily bars in one run",
        f"{took:.1f} s",
        f"{rows:,} rows",
        rows / took,
        "≥ 60000",
        True,
    )
    report(
        "250 sessions in one run, how often faster than a run each",
        f"{took:.1f} s",
        f"a run each {singles * len(SESSIONS):.0f} s (scaled from 10, in this process)",
        singles * len(SESSIONS) / took,
        "≥ 3",
    )


def bench_a_year_of_daily_bars_and_its_checks(backfill, symbols, report):
    loaded = backfill(symbols, SESSIONS)
    checked = backfill(symbols, SESSIONS, checks=True)
    report(
        "250 sessions of daily bars with all their checks",
        f"{checked:.1f} s",
        f"loaded again without {loaded:.1f} s",
        checked / loaded,
        "≤ 3.5",
    )


@pytest.mark.quick
def bench_what_a_session_costs_beside_its_rows(backfill, instance, report, quick):
    """Sessions of a single row: everything else is fixed cost, events included."""
    sessions = SESSIONS[: 20 if quick else 250]
    backfill(1, sessions[:2])
    took = backfill(1, sessions) / len(sessions) * 1000
    single = statistics.median(backfill(1, [session]) for session in sessions[:5]) * 1000
    report(
        "fixed cost of a session beside a run of its own",
        f"{took:.1f} ms",
        f"a run each, in this process {single:.0f} ms",
        took / single,
        "≤ 0.25",
    )
    if not quick:
        report(
            "fixed cost of a session, ms", f"{took:.1f} ms", "events included", took, "≤ 25", True
        )


@pytest.mark.parametrize(
    ("table", "history", "part", "runs"),
    [(MINUTE_BARS, 50, 9, 7), (DAILY_BARS, 250, 1, 30)],
    ids=["minute_bars", "daily_bars"],
)
def bench_growth(timescaledb, symbols, query, report, table, history, part, runs):
    """The same load, with a tenth of the history in the table and with all of it. For minute bars
    of a part of the market: their history is large."""
    symbols = symbols // part

    def load(session: date) -> float:
        if table is MINUTE_BARS:
            source = Dump(minute_bars(symbols, session), simulated=True)
        else:
            source = Dump(daily_bars(symbols).assign(date=session), simulated=True)
        now = seoul_now()
        attempt = Attempt(table, session, None, "bench", source.name, True, False, now)
        began = time.perf_counter()
        ingest(source, timescaledb, attempt, source_timeout=300, now=now)
        return time.perf_counter() - began

    def again() -> float:
        query(f"ANALYZE {table.name}")
        load(SESSIONS[2])
        return min(load(SESSIONS[2]) for _ in range(runs))

    for session in SESSIONS[: history // 10]:
        load(session)
    few = again()
    for session in SESSIONS[history // 10 : history]:
        load(session)
    many = again()
    report(
        f"loading {table.dataset} as their table grows",
        f"with {history} sessions {many * 1000:.1f} ms",
        f"with {history // 10} {few * 1000:.1f} ms",
        many / few,
        "≤ 1.1",
    )
