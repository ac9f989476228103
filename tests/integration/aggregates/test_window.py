# ruff: noqa: S608
"""A refresh writes its session's day in Seoul and nothing else, and never takes history away."""

import pytest

from resources.aggregates import AGGREGATES, CANDLES_5M, DAILY_CANDLES
from resources.refresh import NothingToRefreshError, RefreshError
from tests.integration.aggregates.market import SESSIONS, minutes

FIRST, SECOND, THIRD = SESSIONS


@pytest.fixture
def stored(query):
    """Everything in every aggregate, of the days that ``where`` keeps."""

    def stored(where: str = "true") -> dict[str, list[tuple[object, ...]]]:
        return {
            aggregate.name: query(
                f"SELECT * FROM {aggregate.name} WHERE {where} ORDER BY {', '.join(aggregate.key)}"
            )
            for aggregate in AGGREGATES
        }

    return stored


def of(session):
    return f"(bucket AT TIME ZONE 'Asia/Seoul')::date = '{session}'"


@pytest.fixture
def three_sessions(load, refreshed):
    for session in SESSIONS:
        load(session)
        refreshed(session)


def test_neighbours_are_not_touched(three_sessions, load, refreshed, stored, query, differing):
    neighbours = f"NOT {of(SECOND)}"
    before = stored(neighbours)
    for session in SESSIONS:
        load(session, minutes(session, seed=1))
    refreshed(SECOND)
    assert stored(neighbours) == before
    for aggregate in AGGREGATES:
        assert differing(aggregate, of(SECOND)) == []


def test_history_outlives_raw_bars(three_sessions, load, refreshed, stored, query, differing):
    before = stored(f"NOT {of(THIRD)}")
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-15 00:00+00')")
    assert query("SELECT count(*) FROM stock_prices WHERE time < '2025-06-15'") == [(0,)]
    load(THIRD, minutes(THIRD, seed=1))
    refreshed(THIRD)
    assert stored(f"NOT {of(THIRD)}") == before
    for aggregate in AGGREGATES:
        assert differing(aggregate, of(THIRD)) == []


def test_a_session_whose_raw_bars_were_dropped_keeps_its_candles(
    three_sessions, refreshed, stored, query
):
    before = stored()
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-15 00:00+00')")
    for session in (FIRST, SECOND):
        with pytest.raises(RefreshError, match=r"stock_prices has 0 of the session's 2,999 rows"):
            refreshed(session, CANDLES_5M)
    query("SELECT drop_chunks('candles_5m', timestamptz '2025-06-19 00:00+00')")
    with pytest.raises(RefreshError, match=r"candles_5m has 0 of the session's"):
        refreshed(FIRST, DAILY_CANDLES)
    assert stored()["daily_candles"] == before["daily_candles"]
    assert stored()["volume_profile"] == before["volume_profile"]


def test_a_session_that_lost_only_its_pre_market_bars_keeps_its_candles(
    three_sessions, refreshed, stored, query
):
    """They lie in the chunk of the day before, in UTC."""
    before = stored()
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-16 00:00+00')")
    ((left,),) = query("SELECT count(*) FROM stock_prices")
    with pytest.raises(RefreshError, match=f"stock_prices has {left:,} of the session's 2,999"):
        refreshed(THIRD)
    assert stored() == before


def test_some_symbols_loaded_again_do_not_stand_for_a_dropped_session(
    three_sessions, load, refreshed, stored, query, differing
):
    before = stored()
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-13 12:00+00')")
    load(FIRST, symbols=("005930",))
    with pytest.raises(RefreshError, match="load the session's minute bars again"):
        refreshed(FIRST)
    assert stored() == before
    load(FIRST, minutes(FIRST, seed=1), allow_shrink=True)
    refreshed(FIRST)
    for aggregate in AGGREGATES:
        assert differing(aggregate, of(FIRST)) == []


def test_a_session_loaded_again_updates_its_candles(
    three_sessions, load, refreshed, query, differing
):
    fewer = minutes(FIRST, seed=1).query("symbol != '000660'")
    load(FIRST, fewer, allow_shrink=True)
    load(SECOND, minutes(SECOND, seed=1), symbols=("005930", "0126Z0"))
    for session in (FIRST, SECOND):
        refreshed(session)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []
    gone = "SELECT count(*) FROM candles_5m WHERE symbol = '000660' AND " + of(FIRST)
    assert query(gone) == [(0,)]


def test_a_compressed_session_loaded_again_updates_its_candles(
    three_sessions, load, refreshed, query, differing, community
):
    query(
        "ALTER TABLE stock_prices SET (timescaledb.compress, timescaledb.compress_segmentby = "
        "'symbol', timescaledb.compress_orderby = 'time')"
    )
    try:
        query("SELECT compress_chunk(show_chunks('stock_prices'))")
        fewer = minutes(FIRST, seed=1).query("symbol != '000660'")
        load(FIRST, fewer, allow_shrink=True)
        load(SECOND, minutes(SECOND, seed=1), symbols=("005930",))
        for session in SESSIONS:
            refreshed(session)
        for aggregate in AGGREGATES:
            assert differing(aggregate) == []
    finally:
        query("SELECT decompress_chunk(show_chunks('stock_prices'), true)")
        query("ALTER TABLE stock_prices SET (timescaledb.compress = false)")


def test_what_was_never_loaded_is_not_refreshed(refreshed, load):
    with pytest.raises(NothingToRefreshError, match="the session has no committed minute bars"):
        refreshed(FIRST, CANDLES_5M)
    load(FIRST)
    with pytest.raises(NothingToRefreshError, match="has never been refreshed in candles_5m"):
        refreshed(FIRST, DAILY_CANDLES)


def test_an_empty_session_empties_its_candles(three_sessions, load, refreshed, query):
    load(
        FIRST,
        minutes(FIRST)[:0],
        symbols=("005930", "000660", "0126Z0", "00088K", "111111", "222222"),
        allow_shrink=True,
    )
    refreshed(FIRST)
    assert query(f"SELECT count(*) FROM candles_5m WHERE {of(FIRST)}") == [(0,)]
    assert query(f"SELECT count(*) FROM daily_candles WHERE {of(FIRST)}") == [(0,)]
    assert query("SELECT rows FROM aggregate_refreshes WHERE session = %s", [FIRST]) == [(0,)] * 3
