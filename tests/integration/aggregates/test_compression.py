# ruff: noqa: S608
from datetime import datetime, timedelta

import pytest

from resources.calendar import SEOUL
from resources.compression import compress, compression, uncompressed_chunks
from resources.hypertables import HYPERTABLES, ChunkBusyError, locked
from tests.integration.aggregates.market import SESSIONS, minutes

pytestmark = pytest.mark.usefixtures("community")

BARS = HYPERTABLES[0]
AFTER_ALL = datetime(2025, 6, 20, tzinfo=SEOUL)


@pytest.fixture
def chunks(maintainer):
    """Days (UTC) of the chunks of minute bars that wait to be compressed."""

    def chunks(before: datetime = AFTER_ALL) -> list[str]:
        return [f"{chunk.start:%m-%d}" for chunk in uncompressed_chunks(maintainer, BARS, before)]

    return chunks


@pytest.fixture
def compress_all(maintainer):
    def compress_all() -> None:
        for chunk in uncompressed_chunks(maintainer, BARS, AFTER_ALL):
            compress(maintainer, BARS, chunk)

    return compress_all


def test_only_chunks_wholly_before_the_limit_are_compressed(load, chunks):
    for session in SESSIONS:
        load(session)
    # Each session begins at 08:00 in Seoul, the day before in UTC.
    assert chunks() == ["06-11", "06-12", "06-13", "06-15", "06-16"]
    assert chunks(datetime(2025, 6, 13, 9, tzinfo=SEOUL)) == ["06-11", "06-12"]
    assert chunks(datetime(2025, 6, 13, 8, 59, tzinfo=SEOUL)) == ["06-11"]


def test_compressed_rows_are_the_same_rows(load, query, compress_all, chunks, maintainer):
    load(SESSIONS[0])
    rows = query("SELECT * FROM stock_prices ORDER BY symbol, venue, time")
    compress_all()
    assert query("SELECT * FROM stock_prices ORDER BY symbol, venue, time") == rows
    assert chunks() == []
    state = compression(maintainer, BARS)
    assert (state.chunks, state.compressed) == (2, 2)
    assert state.size.ratio > 1
    assert query(
        """SELECT segmentby, orderby FROM timescaledb_information.hypertable_columnstore_settings
           WHERE hypertable = 'stock_prices'::regclass"""
    ) == [("symbol", 'venue,"time"')]


def test_a_chunk_loaded_again_is_found_and_compressed_again(load, compress_all, chunks, query):
    for session in SESSIONS[:2]:
        load(session)
    compress_all()
    load(SESSIONS[0], minutes(SESSIONS[0], seed=1))
    rows = query("SELECT * FROM stock_prices ORDER BY symbol, venue, time")
    assert "06-12" in chunks()
    assert "06-13" not in chunks()
    compress_all()
    assert chunks() == []
    assert query("SELECT * FROM stock_prices ORDER BY symbol, venue, time") == rows


def test_a_chunk_of_a_session_that_is_being_loaded_is_left_alone(
    load, maintainer, timescaledb, chunks
):
    load(SESSIONS[0])
    # The session's first minutes are in the chunk of the day before, which ends with them.
    both = uncompressed_chunks(maintainer, BARS, AFTER_ALL)
    assert len(both) == 2
    lock = "SELECT pg_advisory_xact_lock(hashtext($1::text), $2::date - date '2000-01-01')"
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(lock, ("stock_prices", SESSIONS[0]))
        for chunk in both:
            with pytest.raises(ChunkBusyError):
                compress(maintainer, BARS, chunk)
    assert chunks() == ["06-11", "06-12"]
    compress(maintainer, BARS, both[-1])
    assert chunks() == ["06-11"]


def test_one_chunk_is_worked_on_by_one_run_at_a_time(load, maintainer):
    load(SESSIONS[0])
    chunk = uncompressed_chunks(maintainer, BARS, AFTER_ALL)[-1]
    with (
        maintainer.connect() as connection,
        locked(connection, BARS, chunk),
        pytest.raises(ChunkBusyError),
    ):
        compress(maintainer, BARS, chunk)


def test_only_what_is_compressed_counts_for_the_ratio(load, maintainer, query):
    for session in SESSIONS:
        load(session)
    waiting = uncompressed_chunks(maintainer, BARS, AFTER_ALL)
    nothing = compression(maintainer, BARS)
    assert (nothing.chunks, nothing.compressed, nothing.size.ratio) == (len(waiting), 0, 1)
    whole = "SELECT pg_total_relation_size(%s::regclass)"
    ((before,),) = query(whole, [waiting[1].name])
    size = compress(maintainer, BARS, waiting[1])
    assert size.before == pytest.approx(before, rel=0.1)
    assert size.before > size.after > 0
    state = compression(maintainer, BARS)
    assert (state.chunks, state.compressed, state.size) == (len(waiting), 1, size)


@pytest.mark.parametrize("table", HYPERTABLES, ids=lambda table: table.name)
def test_every_hypertable_can_be_compressed(table, query, maintainer):
    then = datetime(2020, 1, 2, 10, tzinfo=SEOUL)
    columns, values = {
        "stock_prices": ("open, high, low, close, volume", "1, 1, 1, 1, 1"),
        "daily_bars": ("open, high, low, close, volume", "1, 1, 1, 1, 1"),
        "supply_demand": ("estimated", "false"),
        "market_flows": ("foreign_amount", "1"),
        "realtime_prices": ("seq, price, volume", "1, 1, 1"),
    }[table.name]
    segment = {"symbol": "005930", "market": "KOSPI"}[table.segment_by]
    query(
        f"INSERT INTO {table.name} ({table.time}, {table.segment_by}, {columns}) "
        f"VALUES (%s, '{segment}', {values})",
        [then if table.time == "time" else then.date()],
    )
    (chunk,) = uncompressed_chunks(maintainer, table, then + timedelta(days=800))
    compress(maintainer, table, chunk)
    assert compression(maintainer, table).compressed == 1
    assert query(f"SELECT {table.segment_by} FROM {table.name}") == [(segment,)]
