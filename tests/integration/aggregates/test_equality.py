"""An aggregate says what the same question to the raw bars says, on whichever edition. Run it with
--timescale-dsn for the other one."""

import pytest

from resources.aggregates import AGGREGATES, CANDLES_5M
from tests.integration.aggregates.market import SESSIONS


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda aggregate: aggregate.name)
def test_nothing_differs_from_raw(load, refreshed, differing, query, aggregate):
    for session in SESSIONS:
        load(session)
        refreshed(session)
    assert differing(aggregate) == []
    ((rows,),) = query(f"SELECT count(*) FROM {aggregate.name}")  # noqa: S608
    assert rows >= 12


def test_a_day_is_the_day_in_seoul_of_krx_alone(load, refreshed, query):
    for session in SESSIONS:
        load(session)
        refreshed(session)
    days = query(
        "SELECT DISTINCT (bucket AT TIME ZONE 'Asia/Seoul')::text FROM daily_candles ORDER BY 1"
    )
    assert [day for (day,) in days] == [f"{session} 00:00:00" for session in SESSIONS]
    # The close is the closing auction's, not that of NXT at 19:59.
    assert query(
        "SELECT count(*) FROM daily_candles JOIN stock_prices USING (symbol, close) "
        "WHERE venue = 'KRX' AND time = bucket + interval '15:30' AND symbol = '005930'"
    ) == [(3,)]


def test_venues_stay_apart_before_and_after_krx(load, refreshed, query):
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    hours = query(
        "SELECT venue, min(bucket AT TIME ZONE 'Asia/Seoul')::time::text, "
        "max(bucket AT TIME ZONE 'Asia/Seoul')::time::text FROM candles_5m GROUP BY 1 ORDER BY 1"
    )
    assert hours == [("KRX", "09:00:00", "15:30:00"), ("NXT", "08:00:00", "19:55:00")]


def test_the_profile_is_by_time_of_day_in_seoul(load, refreshed, query):
    for session in SESSIONS:
        load(session)
        refreshed(session)
    auction = query(
        "SELECT time_of_day::text, count(*), sum(bars)::int FROM volume_profile "
        "WHERE symbol = '005930' AND venue = 'KRX' GROUP BY 1 ORDER BY 1 DESC LIMIT 2"
    )
    assert auction == [("15:30:00", 3, 3), ("15:00:00", 3, 54)]


def test_a_trading_value_is_missing_only_where_no_bar_has_one(load, refreshed, query):
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    missing = query(
        "SELECT symbol, count(*) FILTER (WHERE trading_value IS NULL), count(*) FROM candles_5m "
        "WHERE symbol IN ('005930', '0126Z0') AND venue = 'KRX' GROUP BY 1 ORDER BY 1"
    )
    assert missing == [("005930", 12, 77), ("0126Z0", 77, 77)]


def test_readers_and_the_collector_may_read_them(load, refreshed, connect_as):
    load(SESSIONS[0])
    refreshed(SESSIONS[0], CANDLES_5M)
    for role in ("collector_reader", "collector_user"):
        with connect_as(role) as connection:
            (rows,) = connection.execute("SELECT count(*) FROM candles_5m").fetchone()
            assert rows > 0
