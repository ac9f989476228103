from datetime import datetime

import pytest

from resources.aggregates import AGGREGATES
from resources.calendar import SEOUL
from resources.databases import DatabaseError
from resources.hypertables import HYPERTABLES, ChunkBusyError
from resources.retention import UnrefreshedError, drop, expired_chunks
from tests.integration.aggregates.market import NOW, SESSIONS

BARS = HYPERTABLES[0]
MIDNIGHT_AFTER_FIRST = datetime(2025, 6, 14, tzinfo=SEOUL)


@pytest.fixture
def expired(maintainer):
    return lambda: expired_chunks(maintainer, BARS, MIDNIGHT_AFTER_FIRST)


def days(query) -> list[str]:
    rows = query("SELECT DISTINCT (time AT TIME ZONE 'Asia/Seoul')::date::text FROM stock_prices")
    return sorted(day for (day,) in rows)


def test_only_whole_chunks_are_dropped_and_candles_stay(
    load, refreshed, query, maintainer, expired
):
    for session in SESSIONS:
        load(session)
        refreshed(session)
    candles = query("SELECT * FROM daily_candles ORDER BY symbol, bucket")
    before = query("SELECT count(*) FROM stock_prices WHERE time < '2025-06-13 00:00+00'")
    chunks = expired()
    # The chunk of the 13th ends at 09:00 in Seoul on the 14th, which is too late.
    assert [f"{chunk.start:%m-%d}" for chunk in chunks] == ["06-11", "06-12"]
    gone = [drop(maintainer, BARS, chunk, run_id="run", began=NOW) for chunk in chunks]
    assert sum(gone[-1].rows.values()) < before[0][0]
    assert query("SELECT count(*) FROM stock_prices WHERE time < '2025-06-13 00:00+00'") == [(0,)]
    assert days(query) == ["2025-06-13", "2025-06-16"]
    assert query("SELECT * FROM daily_candles ORDER BY symbol, bucket") == candles
    recorded = query(
        """SELECT session::text, asset, source, run_id, sum(rows_replaced)::int FROM ingest_ledger
           WHERE outcome = 'dropped' GROUP BY 1, 2, 3, 4 ORDER BY 1"""
    )
    assert [row[:4] for row in recorded] == [
        ("2025-06-12", "minute_bars", "retention", "run"),
        # Its pre-market, which is in the chunk of the 12th.
        ("2025-06-13", "minute_bars", "retention", "run"),
    ]
    assert sum(row[4] for row in recorded) == before[0][0]


def test_the_ledger_says_whether_what_was_dropped_was_simulated(
    load, refreshed, query, maintainer, expired
):
    load(SESSIONS[0])
    load(SESSIONS[0], simulated=True, allow_source_change=True)
    load(SESSIONS[1])
    for session in SESSIONS[:2]:
        refreshed(session)
    for chunk in expired():
        drop(maintainer, BARS, chunk, run_id="run", began=NOW)
    assert query(
        """SELECT DISTINCT session::text, simulated FROM ingest_ledger WHERE outcome = 'dropped'
           ORDER BY 1"""
    ) == [("2025-06-12", True), ("2025-06-13", False)]


def test_an_older_chunk_that_must_stay_stays(load, refreshed, query, maintainer, expired):
    for session in SESSIONS[:2]:
        load(session)
    refreshed(SESSIONS[1])
    second = expired_chunks(maintainer, BARS, datetime(2025, 6, 15, tzinfo=SEOUL))[-1]
    before = query("SELECT count(*) FROM stock_prices WHERE time < '2025-06-13 00:00+00'")
    drop(maintainer, BARS, second, run_id="run", began=NOW)
    assert query("SELECT count(*) FROM stock_prices WHERE time < '2025-06-13 00:00+00'") == before
    assert query("SELECT count(*) FROM stock_prices WHERE time >= '2025-06-13 00:00+00'") == [(0,)]


def test_what_timescaledb_keeps_is_not_recorded_as_dropped(
    load, refreshed, query, maintainer, expired, freeze
):
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    chunk = expired()[0]
    freeze(chunk.name)
    with pytest.raises(DatabaseError, match=chunk.name):
        drop(maintainer, BARS, chunk, run_id="run", began=NOW)
    assert query("SELECT count(*) FROM ingest_ledger WHERE outcome = 'dropped'") == [(0,)]


def test_a_chunk_stays_until_every_aggregate_has_its_rows(
    load, refreshed, query, maintainer, expired
):
    for session in SESSIONS:
        load(session)
    refreshed(SESSIONS[0])
    first, second = expired()
    with pytest.raises(UnrefreshedError, match="lack rows of 2025-06-13: refresh candles_5m, "):
        drop(maintainer, BARS, second, run_id="run", began=NOW)
    load(SESSIONS[0])
    with pytest.raises(UnrefreshedError, match="2025-06-12"):
        drop(maintainer, BARS, first, run_id="run", began=NOW)
    assert days(query) == [str(session) for session in SESSIONS]
    assert query("SELECT count(*) FROM ingest_ledger WHERE outcome = 'dropped'") == [(0,)]


def test_every_aggregate_counts(load, refreshed, maintainer, expired):
    load(SESSIONS[0])
    chunk = expired()[0]
    for aggregate in AGGREGATES:
        with pytest.raises(UnrefreshedError, match="2025-06-12"):
            drop(maintainer, BARS, chunk, run_id="run", began=NOW)
        refreshed(SESSIONS[0], aggregate)
    drop(maintainer, BARS, chunk, run_id="run", began=NOW)


def test_rows_of_which_the_ledger_knows_nothing_stay(query, maintainer, expired):
    query(
        """INSERT INTO stock_prices (time, symbol, open, high, low, close, volume)
           VALUES ('2025-06-12 10:00+09', '005930', 1, 1, 1, 1, 1)"""
    )
    (chunk,) = expired()
    with pytest.raises(UnrefreshedError, match="2025-06-12"):
        drop(maintainer, BARS, chunk, run_id="run", began=NOW)


def test_a_dry_run_changes_nothing(load, refreshed, query, maintainer, expired):
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    rows = query("SELECT count(*) FROM stock_prices")
    told = [
        drop(maintainer, BARS, chunk, run_id="run", began=NOW, dry_run=True) for chunk in expired()
    ]
    assert sum(sum(one.rows.values()) for one in told) == rows[0][0]
    assert query("SELECT count(*) FROM stock_prices") == rows
    assert query("SELECT count(*) FROM ingest_ledger WHERE outcome = 'dropped'") == [(0,)]


def test_a_chunk_of_a_session_that_is_being_loaded_stays(
    load, refreshed, maintainer, timescaledb, expired
):
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    lock = "SELECT pg_advisory_xact_lock(hashtext($1::text), $2::date - date '2000-01-01')"
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(lock, ("stock_prices", SESSIONS[0]))
        for chunk in expired():
            with pytest.raises(ChunkBusyError):
                drop(maintainer, BARS, chunk, run_id="run", began=NOW)


def test_a_dropped_session_can_be_loaded_again(load, refreshed, query, maintainer, expired):
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    for chunk in expired():
        drop(maintainer, BARS, chunk, run_id="run", began=NOW)
    load(SESSIONS[0])
    refreshed(SESSIONS[0])
    assert days(query) == [str(SESSIONS[0])]
