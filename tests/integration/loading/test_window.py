"""What a load replaces, and what it leaves."""

from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from resources.calendar import SEOUL
from resources.canonical import checksum
from resources.ingestion import IngestionError
from resources.tables import DAILY_BARS, MINUTE_BARS, SUPPLY_DEMAND
from tests.integration.loading.dump import SESSION, Dump, bars


def test_only_the_session_is_replaced(run, query):
    for day in (1, 2, 3):
        session = SESSION + timedelta(days=day - 1)
        run(Dump(bars(3, date=session, volume=day)), session=session)
    run(Dump(bars(3, date=date(2025, 1, 3), volume=9)), session=date(2025, 1, 3))
    assert query("SELECT DISTINCT date::text, volume FROM daily_bars ORDER BY 1") == [
        ("2025-01-02", 1),
        ("2025-01-03", 9),
        ("2025-01-04", 3),
    ]


def test_named_symbols_leave_the_others(run, query):
    run(Dump(bars(3)))
    loaded = run(Dump(bars(3, volume=7)), symbols=("000001",))
    assert (loaded.loaded, loaded.replaced) == (1, 1)
    assert query("SELECT volume FROM daily_bars ORDER BY symbol") == [(1000,), (7,), (1000,)]


def test_a_minute_session_is_a_day_in_seoul(run, query):
    """Pre-market bars of the alternative venue lie on the day before in UTC."""

    def minutes(*times: str) -> pd.DataFrame:
        frame = bars(len(times))[["symbol", *DAILY_BARS.measures]].assign(trading_value=None)
        frame["symbol"] = "005930"
        frame["venue"] = "NXT"
        frame["time"] = pd.to_datetime(list(times)).tz_localize(SEOUL)
        return frame[list(MINUTE_BARS.column_names)]

    day_before = date(2025, 1, 1)
    run(Dump(minutes("2025-01-01 19:59")), MINUTE_BARS, session=day_before)
    first = minutes("2025-01-02 00:00", "2025-01-02 08:00", "2025-01-02 23:59")
    run(Dump(first), MINUTE_BARS)
    assert run(Dump(first.iloc[1:]), MINUTE_BARS, allow_shrink=True).replaced == 3
    times = query("SELECT (time AT TIME ZONE 'Asia/Seoul')::text FROM stock_prices ORDER BY time")
    assert [time for (time,) in times] == [
        "2025-01-01 19:59:00",
        "2025-01-02 08:00:00",
        "2025-01-02 23:59:00",
    ]


def test_flows_with_nulls(run, query):
    frame = pd.DataFrame(
        [[SESSION, "005930", -5, None, None, None, True]],
        columns=list(SUPPLY_DEMAND.column_names),
    )
    run(Dump(frame), SUPPLY_DEMAND)
    assert query("SELECT institution_amount, foreign_amount, estimated FROM supply_demand") == [
        (-5, None, True)
    ]


def test_a_load_below_90_percent_needs_a_word(run, stored, query):
    run(Dump(bars(100)))
    with pytest.raises(IngestionError, match=r"89 rows would replace 100.*allow_shrink: true"):
        run(Dump(bars(89)))
    assert len(stored()) == 100
    assert run(Dump(bars(90))).replaced == 100
    assert run(Dump(bars(50)), allow_shrink=True).replaced == 90
    assert [row[0] for row in query("SELECT outcome FROM ingest_ledger ORDER BY id")] == [
        "committed",
        "refused",
        "committed",
        "committed",
    ]


def test_named_symbols_that_vanished_need_it_too(run, stored):
    run(Dump(bars(3)))
    with pytest.raises(IngestionError, match="0 rows would replace 1"):
        run(Dump(bars(2)), symbols=("000002",))
    run(Dump(bars(2)), symbols=("000002",), allow_shrink=True)
    assert len(stored()) == 2


@pytest.mark.parametrize("simulated_first", [False, True])
def test_real_and_simulated_rows_do_not_replace_each_other(run, stored, simulated_first):
    run(Dump(bars(10), simulated=simulated_first))
    other = Dump(bars(10, volume=1), simulated=not simulated_first)
    with pytest.raises(IngestionError, match=r"would be replaced by .*allow_source_change"):
        run(other)
    assert {row[6] for row in stored()} == {1000}
    run(other, allow_source_change=True)
    assert {row[6] for row in stored()} == {1}
    run(other)


def test_running_it_again_gives_the_same_table(run, stored, query):
    first = run(Dump(bars(50)))
    before = stored()
    again = run(Dump(bars(50).iloc[::-1]))
    assert stored() == before
    assert (again.replaced, again.checksum) == (50, first.checksum)


def test_the_checksum_is_that_of_the_rows_in_the_table(run, timescaledb, query):
    run(Dump(bars(50, close=110.25)))
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(DAILY_BARS.column_names)} FROM daily_bars")  # noqa: S608
        table = cursor.fetch_arrow_table()
    columns = [
        getattr(column.combine_chunks(), "storage", column.combine_chunks()).cast(field.type)
        for column, field in zip(table.columns, DAILY_BARS.arrow_schema(), strict=True)
    ]
    stored = pa.table(columns, schema=DAILY_BARS.arrow_schema())
    assert query("SELECT checksum FROM ingest_ledger") == [(checksum(stored),)]


def test_a_compressed_session_is_replaced_like_any_other(run, query, community):
    """Also beyond TimescaleDB's default limit of 100,000 decompressed rows."""
    sessions = [date(2024, 3, day) for day in range(4, 9)]
    for session in sessions:
        run(Dump(bars(30_000, date=session)), session=session)
    query(
        "ALTER TABLE daily_bars SET (timescaledb.compress, timescaledb.compress_segmentby "
        "= 'symbol', timescaledb.compress_orderby = 'date')"
    )
    try:
        query("SELECT compress_chunk(show_chunks('daily_bars'))")
        run(Dump(bars(30_000, date=sessions[1], volume=7)), session=sessions[1])
        assert query("SELECT volume, count(*) FROM daily_bars GROUP BY 1 ORDER BY 1") == [
            (7, 30_000),
            (1000, 120_000),
        ]
    finally:
        query("SELECT decompress_chunk(show_chunks('daily_bars'), true)")
        query("ALTER TABLE daily_bars SET (timescaledb.compress = false)")
