# ruff: noqa: S608
from collections.abc import Callable
from datetime import date

import pandas as pd
import pytest

from resources.aggregates import AGGREGATES, Aggregate
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.refresh import check_server, record_refresh, refresh
from resources.tables import MINUTE_BARS
from tests.integration.aggregates.market import NOW, Market, minutes


@pytest.fixture
def load(timescaledb) -> Callable[..., None]:
    """Load a session of minute bars, by default those of ``market.minutes``."""

    def load(
        session: date,
        frame: pd.DataFrame | None = None,
        symbols: tuple[str, ...] | None = None,
        simulated: bool = False,
        **allowed: bool,
    ) -> None:
        source = Market(minutes(session) if frame is None else frame)
        attempt = Attempt(MINUTE_BARS, session, symbols, "load", "market", simulated, False, NOW)
        ingest(source, timescaledb, attempt, source_timeout=30, now=NOW, **allowed)

    return load


@pytest.fixture
def refreshed(maintainer) -> Callable[..., None]:
    """Refresh a session of every aggregate, or of some, and record it."""

    def refreshed(session: date, *aggregates: Aggregate) -> None:
        for aggregate in aggregates or AGGREGATES:
            server = check_server(maintainer)
            record_refresh(maintainer, refresh(maintainer, server, aggregate, session), "refresh")

    return refreshed


_TRADED = "sum(volume)::bigint, sum(trading_value)::bigint, count(*)"
_OHLC = """(array_agg(open ORDER BY time))[1], max(high), min(low),
           (array_agg(close ORDER BY time DESC))[1]"""
_RAW = {
    "candles_5m": f"""
        SELECT date_bin('5 minutes', time, '2000-01-01+00'), symbol, venue, {_OHLC}, {_TRADED}
        FROM stock_prices GROUP BY 1, 2, 3""",
    "daily_candles": f"""
        SELECT (time AT TIME ZONE 'Asia/Seoul')::date::timestamp AT TIME ZONE 'Asia/Seoul',
               symbol, {_OHLC}, {_TRADED}
        FROM stock_prices WHERE venue = 'KRX' GROUP BY 1, 2""",
    "volume_profile": f"""
        SELECT date_bin('30 minutes', time, '2000-01-01+00'), symbol, venue,
               (date_bin('30 minutes', time, '2000-01-01+00') AT TIME ZONE 'UTC')::time
               + interval '9 hours', {_TRADED}
        FROM stock_prices GROUP BY 1, 2, 3""",
}


@pytest.fixture
def differing(query) -> Callable[..., list[tuple[object, ...]]]:
    """Rows in which an aggregate and the same question to the raw bars differ, in either
    direction, among those that ``where`` (over ``bucket``) keeps."""

    def differing(aggregate: Aggregate, where: str = "true") -> list[tuple[object, ...]]:
        columns = ", ".join(column.name for column in aggregate.columns)
        return query(
            f"""
            WITH stored AS (SELECT {columns} FROM {aggregate.name} WHERE {where}),
                 raw AS (
                    SELECT * FROM ({_RAW[aggregate.name]}) AS q ({columns}) WHERE {where}
                 )
            (SELECT 'stored', * FROM (TABLE stored EXCEPT ALL TABLE raw) AS a)
            UNION ALL
            (SELECT 'raw', * FROM (TABLE raw EXCEPT ALL TABLE stored) AS b)
            """
        )

    return differing
