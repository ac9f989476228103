"""Rows that are refused, and types that are."""

import contextlib
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from resources.canonical import CanonicalError, canonical
from resources.ingestion import IngestionError
from resources.loading import Refused, load
from resources.tables import DAILY_BARS
from resources.validation import split
from tests.integration.loading.dump import NOW, SESSION, Dump, attempt, bars, with_bad


@pytest.mark.parametrize(
    ("rows", "bad", "loads"),
    [(100, 5, True), (100, 6, False), (1000, 10, True), (1000, 11, False), (3, 3, False)],
)
def test_more_than_1_percent_or_5_rows_leave_the_table_alone(run, stored, query, rows, bad, loads):
    if loads:
        assert run(Dump(with_bad(rows, bad))).loaded == rows - bad
    else:
        with pytest.raises(IngestionError, match=rf"{bad} of {rows:,} rows were refused"):
            run(Dump(with_bad(rows, bad)))
    assert len(stored()) == (rows - bad if loads else 0)
    # Either way every refused row is kept, and the attempt is in the ledger.
    assert query("SELECT count(*), count(DISTINCT row ->> 'symbol') FROM quarantine") == [
        (bad, bad)
    ]
    assert query("SELECT outcome, rows_loaded, rows_quarantined FROM ingest_ledger") == [
        ("committed", rows - bad, bad) if loads else ("refused", 0, bad)
    ]


def test_they_are_kept_as_they_came(run, query):
    frame = bars(10).astype(object)
    frame.loc[0, ["close", "market_cap"]] = ["11o\0", "삼성"]
    frame.loc[1, "volume"] = 1.5
    run(Dump(frame), run_id="abc")
    kept = query("SELECT reason, row, source, run_id, session FROM quarantine ORDER BY id")
    assert [reason for reason, *_ in kept] == [
        "close is not a number: '11o\\x00'; market_cap is not a whole number: '삼성'",
        "volume is not a whole number: 1.5",
    ]
    assert kept[0][1] == {
        "date": "2025-01-02",
        "symbol": "000000",
        "open": 100.0,
        "high": 120.0,
        "low": 90.0,
        "close": "11o\\u0000",
        "volume": 1000,
        "trading_value": 110_000,
        "market_cap": "삼성",
        "listed_shares": 5_000,
    }
    assert kept[0][2:] == ("dump", "abc", SESSION)


def test_what_json_cannot_hold_is_kept_as_text(run, query):
    frame = bars(10).astype(object)
    strange = [10**5000, -(10**5000), "NaT", "<NA>", pd.NaT]
    frame.loc[: len(strange) - 1, "market_cap"] = strange
    frame.loc[: len(strange) - 1, "volume"] = "?"
    run(Dump(frame))
    kept = query("SELECT row ->> 'market_cap' FROM quarantine ORDER BY id")
    assert [cell for (cell,) in kept] == [hex(10**5000), hex(-(10**5000)), "NaT", "<NA>", None]


def test_a_committed_load_replaces_its_quarantine_and_a_refused_one_adds(run, query):
    count = "SELECT count(*) FROM quarantine"
    run(Dump(with_bad(100, 3)))
    run(Dump(with_bad(100, 2)))
    assert query(count) == [(2,)]
    with pytest.raises(IngestionError):
        run(Dump(with_bad(100, 50).assign(close=95.0)))
    assert query(count) == [(52,)]
    run(Dump(bars(100)), symbols=("000000",))
    assert query(count) == [(50,)]  # both attempts' rows of 000000 are gone
    run(Dump(bars(100)))
    assert query(count) == [(0,)]


def test_a_row_that_is_refused_again_is_there_once(run, query):
    """With the run that refused it first, and the newest reason."""
    kept = "SELECT run_id, reason, count(*) FROM quarantine GROUP BY 1, 2 ORDER BY 1, 2"
    with pytest.raises(IngestionError):
        run(Dump(with_bad(100, 6)), run_id="1")
    again = with_bad(100, 8)
    again.loc[0, "volume"] = -2
    with pytest.raises(IngestionError):
        run(Dump(again), run_id="2")
    negative = "volume is negative"
    assert query(kept) == [("1", negative, 6), ("2", negative, 3)]
    assert query("SELECT rows_quarantined FROM ingest_ledger ORDER BY id") == [(6,), (8,)]
    # What a load that committed has refused stays that load's.
    run(Dump(with_bad(100, 2)), run_id="3")
    with pytest.raises(IngestionError):
        run(Dump(with_bad(100, 6)), run_id="4")
    assert query(kept) == [("3", negative, 2), ("4", negative, 4)]


def test_a_row_that_came_twice_is_kept_twice_however_often_it_is_refused(run, query):
    six = pd.concat([with_bad(3, 3)] * 2)
    count = "SELECT row ->> 'symbol', count(*) FROM quarantine GROUP BY 1 ORDER BY 1"
    twice = [("000000", 2), ("000001", 2), ("000002", 2)]
    for _ in range(3):
        with pytest.raises(IngestionError):
            run(Dump(six))
        assert query(count) == twice
    # One more of the first: one is new.
    with pytest.raises(IngestionError):
        run(Dump(pd.concat([six, with_bad(1, 1)])))
    assert query(count) == [("000000", 3), *twice[1:]]


def test_another_source_s_row_is_another_row(run, query):
    other = Dump(with_bad(100, 6))
    other.name = "other"
    for source in (Dump(with_bad(100, 6)), other):
        with pytest.raises(IngestionError):
            run(source)
    assert query("SELECT source, count(*) FROM quarantine GROUP BY 1 ORDER BY 1") == [
        ("dump", 6),
        ("other", 6),
    ]


def test_a_reason_that_changed_is_the_newest(run, query, monkeypatch):
    with pytest.raises(IngestionError):
        run(Dump(with_bad(6, 6)))
    reason = "volume was never heard of"
    monkeypatch.setattr(
        "resources.validation._broken_rules", lambda rules, rows: [(reason, np.arange(6))]
    )
    with pytest.raises(IngestionError):
        run(Dump(with_bad(6, 6)))
    assert query("SELECT DISTINCT reason, count(*) FROM quarantine GROUP BY 1") == [(reason, 6)]


def test_a_row_without_a_symbol_is_not_kept_again_by_loads_of_named_ones(run, query):
    class Unnamed(Dump):
        def daily_bars(self, session, symbols):
            return self.answers[0]

    frame = bars(2)
    frame.loc[1, "symbol"] = "x"
    for run_id in ("1", "2"):
        run(Unnamed(frame), symbols=("000000",), run_id=run_id)
    assert query("SELECT row ->> 'symbol', run_id FROM quarantine") == [("x", "2")]


def test_two_attempts_at_once_keep_a_row_once(run, query, timescaledb):
    attempts = [
        threading.Thread(target=lambda: suppressed(run, Dump(with_bad(400, 400)))) for _ in range(3)
    ]
    for thread in attempts:
        thread.start()
    for thread in attempts:
        thread.join(60)
    assert query("SELECT count(*) FROM quarantine") == [(400,)]
    assert query("SELECT count(*) FROM ingest_ledger") == [(3,)]


def suppressed(run, source):
    with contextlib.suppress(IngestionError):
        run(source)


def test_adbc_would_corrupt_what_we_refuse(timescaledb, stored):
    """Why nothing but the exact Arrow schema may pass: the driver checks widths only."""
    good = canonical(split(bars(1), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
    floats = good.set_column(6, "volume", good["volume"].cast(pa.float64()))
    with pytest.raises(CanonicalError, match="daily_bars: volume is double, not int64"):
        load(timescaledb, attempt(), floats, 0, Refused())
    assert stored() == []
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("daily_bars", floats, mode="append")
        cursor.execute("SELECT volume FROM daily_bars")
        assert cursor.fetchone() == (4652007308841189376,)  # the bits of 1000.0


def test_values_arrive_exactly(run, query):
    frame = bars(1, close=110.07, market_cap=318_786_388_170_000.0, trading_value=None)
    run(Dump(frame.assign(high=9_999_999_999.99)))
    (row,) = query("SELECT close::text, high::text, market_cap, trading_value FROM daily_bars")
    assert row == ("110.07", "9999999999.99", 318_786_388_170_000, None)
