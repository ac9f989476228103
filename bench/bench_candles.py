"""Candles and compression: what a refresh costs as history grows, what candles save a reader, and
how small compressed chunks are."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pandas as pd
import pytest

from resources.aggregates import AGGREGATES
from resources.calendar import SEOUL, krx_calendar, seoul_now
from resources.compression import compress, compression, uncompressed_chunks
from resources.hypertables import HYPERTABLES
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.refresh import check_server, record_refresh, refresh
from resources.settings import market_settings
from resources.sources import MarketSource
from resources.sources.selection import select_source
from resources.sources.simulated.source import SimulatedSource
from resources.tables import DAILY_BARS, MINUTE_BARS, SUPPLY_DEMAND, Table

FIRST = krx_calendar().sessions.index(date(2024, 1, 2))
SESSIONS = krx_calendar().sessions[FIRST : FIRST + 250]

_FROM_RAW = """
    SELECT time_bucket('1 day', time, 'Asia/Seoul') AS bucket, symbol,
           first(open, time), max(high), min(low), last(close, time), sum(volume)
    FROM stock_prices WHERE venue = 'KRX' AND time >= %s AND time < %s GROUP BY 1, 2"""
_FROM_CANDLES = """
    SELECT bucket, symbol, open, high, low, close, volume
    FROM daily_candles WHERE bucket >= %s AND bucket < %s"""


@pytest.fixture
def load(timescaledb) -> Callable[..., None]:
    def load(source: MarketSource, table: Table, sessions: Sequence[date]) -> None:
        now = seoul_now()
        for session in sessions:
            attempt = Attempt(
                table, session, None, "bench", source.name, source.simulated, False, now
            )
            ingest(source, timescaledb, attempt, source_timeout=300, now=now)

    return load


@pytest.fixture
def refresh_all(maintainer) -> Callable[[Sequence[date]], None]:
    """Refresh sessions of every aggregate, children before parents."""
    server = check_server(maintainer)

    def refresh_all(sessions: Sequence[date]) -> None:
        for session in sessions:
            for aggregate in AGGREGATES:
                refreshed = refresh(maintainer, server, aggregate, session)
                record_refresh(maintainer, refreshed, "bench")

    return refresh_all


def simulated(symbols: int) -> SimulatedSource:
    return SimulatedSource(krx_calendar(), seoul_now, size=symbols)


def bench_a_refresh_as_history_grows(load, refresh_all, query, median_seconds, report):
    """Both times the same session, with 5 and with 250 sessions in table and aggregates."""
    source = simulated(60)
    load(source, MINUTE_BARS, SESSIONS[:5])
    refresh_all(SESSIONS[:5])
    query("ANALYZE")
    few = median_seconds(lambda: refresh_all(SESSIONS[4:5]))
    load(source, MINUTE_BARS, SESSIONS[5:])
    refresh_all(SESSIONS[5:])
    query("ANALYZE")
    many = median_seconds(lambda: refresh_all(SESSIONS[4:5]))
    report(
        "refresh of a session, all aggregates",
        f"with 250 sessions {many * 1000:.0f} ms",
        f"with 5 {few * 1000:.0f} ms",
        many / few,
        "≤ 1.2",
    )


def bench_day_candles_of_300_symbols(load, refresh_all, query, report):
    """20 sessions of 300 symbols, from raw minute bars and from the candles; as the server counts,
    since taking 6,000 rows over costs a client the same from both."""
    load(simulated(300), MINUTE_BARS, SESSIONS[:20])
    refresh_all(SESSIONS[:20])
    query("ANALYZE")
    window = [
        datetime.combine(day, time.min, SEOUL)
        for day in (SESSIONS[0], SESSIONS[19] + timedelta(days=1))
    ]
    assert sorted(query(_FROM_RAW, window)) == sorted(query(_FROM_CANDLES, window))

    def server_time(text: str) -> float:
        """Milliseconds to plan and execute; the median of five, once both are warm."""
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}"
        plans = [query(explain, window)[0][0][0] for _ in range(5)]
        return statistics.median(plan["Planning Time"] + plan["Execution Time"] for plan in plans)

    raw, candles = server_time(_FROM_RAW), server_time(_FROM_CANDLES)
    report(
        "day candles, 300 symbols × 20 sessions",
        f"from candles {candles:.1f} ms",
        f"from raw {raw:.0f} ms",
        raw / candles,
        "≥ 100",
    )


@pytest.mark.usefixtures("community")
@pytest.mark.parametrize(
    ("table", "sessions", "goal"),
    [(MINUTE_BARS, 2, "≥ 8"), (DAILY_BARS, 120, "≥ 1"), (SUPPLY_DEMAND, 120, "≥ 1")],
    ids=lambda value: getattr(value, "name", None),
)
def bench_compression_of_simulated(table, sessions, goal, load, maintainer, report):
    load(simulated(2_700), table, SESSIONS[:sessions])
    _report_ratio(
        table, f"simulated, 2,700 symbols × {sessions} sessions", goal, maintainer, report
    )


@pytest.fixture
def real(market_data) -> MarketSource:
    return select_source(
        market_settings({"MARKET_SOURCE": "files", "MARKET_DATA_DIR": str(market_data)})
    )


@dataclass(frozen=True)
class Multiplied:
    """The minute bars of 005930 as those of many symbols, as in a market's chunk. Each symbol is
    compressed on its own, so that they are the same makes nothing smaller."""

    source: MarketSource
    symbols: int
    name = "multiplied"
    simulated = False

    def minute_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        bars = self.source.minute_bars(session, ["005930"])
        codes = (f"{code:06d}" for code in range(self.symbols))
        return pd.concat([bars.assign(symbol=code) for code in codes], ignore_index=True)


@pytest.mark.usefixtures("community")
@pytest.mark.parametrize(("symbols", "goal"), [(1, "≥ 1"), (300, "≥ 8")])
def bench_compression_of_real_minute_bars(symbols, goal, load, real, maintainer, report):
    """Of the one symbol there is: as it is, a chunk is little more than the pages it begins; and
    with as many rows of a symbol, but of many symbols."""
    start = krx_calendar().sessions.index(date(2018, 1, 17))
    load(Multiplied(real, symbols), MINUTE_BARS, krx_calendar().sessions[start : start + 11])
    _report_ratio(MINUTE_BARS, f"real, {symbols} × 005930, 11 sessions", goal, maintainer, report)


@pytest.mark.usefixtures("community")
def bench_compression_of_real_daily_bars(load, real, maintainer, report):
    start = krx_calendar().sessions.index(date(2025, 1, 2))
    load(real, DAILY_BARS, krx_calendar().sessions[start : start + 25])
    _report_ratio(DAILY_BARS, "real, 25 sessions", "≥ 1", maintainer, report)


def _report_ratio(table: Table, what: str, goal: str, maintainer, report) -> None:
    (hypertable,) = (one for one in HYPERTABLES if one.name == table.name)
    for chunk in uncompressed_chunks(maintainer, hypertable, seoul_now()):
        compress(maintainer, hypertable, chunk)
    size = compression(maintainer, hypertable).size
    report(
        f"compression of {table.name} ({what})",
        f"{size.after / 1e6:.1f} MB",
        f"uncompressed {size.before / 1e6:.1f} MB",
        size.ratio,
        goal,
    )
