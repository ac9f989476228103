"""Refused rows judged again: what moves, what stays and why, and that nothing is ever lost."""

import re
from datetime import date

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

import resources.requeue
from resources.calendar import SEOUL
from resources.databases import DatabaseUnavailableError
from resources.ingestion import IngestionError, ingest
from resources.loading import Attempt
from resources.requeue import requeue
from resources.tables import DAILY_BARS, MINUTE_BARS, SYMBOLS, Dataset
from tests.changed_rules import change_rules
from tests.integration.loading.dump import NOW, SESSION, Dump, bars, with_bad

ALL = "SELECT (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM {})"


@pytest.fixture
def again(timescaledb):
    def again(table=DAILY_BARS, database=timescaledb, **asked):
        return requeue(database, table, SESSION, run_id="again", now=NOW, **asked)

    return again


@pytest.fixture
def allow(monkeypatch):
    """Change a rule: negative volumes are fine from now on."""

    def allow(dataset: Dataset = Dataset.DAILY_BARS, column: str = "volume") -> None:
        change_rules(monkeypatch, dataset, column, checks=[])

    return allow


@pytest.fixture
def everything(query):
    """Rows in the table and in the quarantine together."""
    return lambda table="daily_bars": query(ALL.format(table))[0][0]


def test_while_the_rules_are_what_they_were_everything_stays(run, again, query, stored):
    run(Dump(with_bad(100, 3)))
    before = stored(), query("SELECT * FROM quarantine ORDER BY id")
    result = again()
    assert (result.loaded, dict(result.stay)) == (0, {"volume is negative": 3})
    assert (stored(), query("SELECT * FROM quarantine ORDER BY id")) == before
    assert query("SELECT count(*) FROM ingest_ledger") == [(1,)]


def test_rows_that_pass_now_are_loaded_and_taken_out_together(
    run, again, allow, query, everything, timescaledb
):
    frame = with_bad(100, 3)
    frame.loc[3, "high"] = 1.0
    run(Dump(frame))
    assert everything() == 100
    allow()
    result = again()
    assert (result.loaded, result.rows, result.stays) == (3, 99, 1)
    assert everything() == 100
    assert query("SELECT volume FROM daily_bars WHERE symbol < '000003'") == [(-1,)] * 3
    assert query("SELECT row ->> 'symbol' FROM quarantine") == [("000003",)]
    columns = "run_id, outcome, symbols, rows_loaded, rows_replaced, rows_quarantined, source"
    assert query(f"SELECT {columns} FROM ingest_ledger ORDER BY id DESC LIMIT 1") == [  # noqa: S608
        ("again", "committed", ["000000", "000001", "000002"], 3, 0, 1, "dump")
    ]
    assert query("SELECT rows FROM loaded_sessions") == [(99,)]
    # As a load of these rows would have: the checksum is of them.
    assert query("SELECT max(checksum) <> min(checksum) FROM ingest_ledger") == [(True,)]


def test_twice_is_harmless(run, again, allow, query, stored):
    run(Dump(with_bad(100, 3)))
    allow()
    again()
    before = stored()
    assert again().loaded == 0
    assert stored() == before
    assert query("SELECT count(*) FROM ingest_ledger") == [(2,)]


def test_a_dry_run_says_the_same_and_changes_nothing(run, again, allow, stored, query):
    frame = with_bad(100, 3)
    frame.loc[3, "high"] = 1.0
    run(Dump(frame))
    allow()
    before = stored(), query("SELECT * FROM quarantine"), query("SELECT * FROM ingest_ledger")
    told = again(dry_run=True)
    assert (
        stored(),
        query("SELECT * FROM quarantine"),
        query("SELECT * FROM ingest_ledger"),
    ) == before
    real = again()
    assert (told.loaded, told.stay, told.rows) == (real.loaded, real.stay, real.rows)


def test_only_rows_with_the_reason_asked_for(run, again, allow, query):
    frame = with_bad(100, 4)
    frame.loc[2:3, "trading_value"] = -1
    run(Dump(frame))
    allow()
    allow(column="trading_value")
    assert again(reason=re.compile("trading_value")).loaded == 2
    assert query("SELECT row ->> 'symbol' FROM quarantine ORDER BY 1") == [("000000",), ("000001",)]


def test_a_key_that_the_table_has_stays_with_that_as_its_reason(
    run, again, allow, query, stored, everything
):
    run(Dump(with_bad(100, 2)))
    query(
        "INSERT INTO daily_bars SELECT date, '000000', open, high, low, close, 7, null, null, null "
        "FROM daily_bars LIMIT 1"
    )
    allow()
    result = again()
    reason = "duplicate of (symbol, date) in the table"
    assert (result.loaded, dict(result.stay)) == (1, {reason: 1})
    assert query("SELECT row ->> 'symbol', reason, run_id FROM quarantine") == [
        ("000000", reason, "run")
    ]
    assert query("SELECT volume FROM daily_bars WHERE symbol = '000000'") == [(7,)]
    # Its run is still the one that refused it, and it is still a duplicate to the checks.
    assert everything() == 101


def test_of_rows_with_one_key_none_is_taken_also_when_only_one_is_asked_for(run, again, allow):
    frame = pd.concat([bars(100), bars(1, volume=-1), bars(1, volume=-2)], ignore_index=True)
    frame = frame.iloc[1:]
    run(Dump(frame))
    allow()
    key = "duplicate of (symbol, date)"
    assert dict(again(reason=re.compile("volume")).stay) == {key: 2}


def test_of_identical_rows_one_is_taken(run, again, allow, query):
    bad = bars(1, volume=-1)
    run(Dump(pd.concat([bars(100).iloc[1:], bad, bad, bad], ignore_index=True)))
    allow()
    assert again().loaded == 1
    assert query("SELECT count(*) FROM quarantine") == [(2,)]
    assert again().loaded == 0


def test_a_session_that_was_refused_as_a_whole_is_not_half_loaded(run, again, allow, stored):
    with pytest.raises(IngestionError):
        run(Dump(with_bad(100, 50)))
    allow()
    result = again()
    assert result.loaded == 0
    assert result.stays == 50
    assert "dg launch --assets daily_bars --partition 2025-01-02" in next(iter(result.stay))
    assert stored() == []


def test_rows_of_a_later_attempt_that_was_refused_are_not_mixed_in(run, again, allow, query):
    run(Dump(with_bad(100, 2)))
    with pytest.raises(IngestionError):
        run(Dump(with_bad(100, 50).assign(close=95.0)), run_id="refused")
    allow()
    assert again().loaded == 2
    assert query("SELECT DISTINCT close FROM daily_bars") == [(110,)]
    assert query("SELECT run_id, count(*) FROM quarantine GROUP BY 1") == [("refused", 50)]


def test_what_retention_dropped_does_not_come_back_in_pieces(run, again, allow, query, stored):
    run(Dump(with_bad(100, 2)))
    query("DELETE FROM daily_bars")
    query(
        "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, "
        "outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at) VALUES "
        "('retention', 'daily_bars', '2025-01-02', 'retention', false, false, 'dropped', 0, 98, 0, "
        "now(), now())"
    )
    allow()
    result = again()
    assert (result.loaded, dict(result.stay)) == (0, {"retention dropped the session's rows": 2})
    assert stored() == []


def test_simulated_rows_do_not_join_real_ones(run, again, allow, query):
    run(Dump(with_bad(100, 2), simulated=True))
    run(Dump(bars(100)), symbols=("000050",), run_id="real", allow_source_change=True)
    allow()
    result = again()
    assert (result.loaded, dict(result.stay)) == (
        0,
        {"simulated, and the session's rows are real": 2},
    )


def test_rows_keep_their_types_on_the_way(run, again, allow, query, stored):
    """Numbers, nulls, dates and hundredths come out of the quarantine as they went in."""
    odd = bars(3, volume=-5, close=110.25, trading_value=np.nan, market_cap=2**60)
    run(Dump(pd.concat([bars(100).iloc[3:], odd], ignore_index=True)))
    allow()
    assert again().loaded == 3
    assert stored()[0][:1] == (SESSION,)
    assert query(
        "SELECT DISTINCT close::text, volume, trading_value, market_cap FROM daily_bars "
        "WHERE symbol < '000003'"
    ) == [("110.25", -5, None, 2**60)]


def test_what_was_no_date_is_none_after_json_either(run, again, query):
    frame = bars(100).astype({"date": object})
    frame.loc[0, "date"] = "2025-01-02"
    run(Dump(frame))
    result = again()
    assert (result.loaded, dict(result.stay)) == (0, {"date is not a date": 1})


def test_minute_bars_move_too(run, again, allow, query):
    times = pd.date_range("2025-01-02 09:00", periods=100, freq="min", tz=SEOUL)
    frame = bars(100).assign(symbol="005930", venue="KRX", time=times, trading_value=None)
    frame = frame[list(MINUTE_BARS.column_names)]
    frame.loc[:1, "volume"] = -1
    run(Dump(frame), MINUTE_BARS)
    query(
        "INSERT INTO stock_prices SELECT '2025-01-02 09:01+09', symbol, venue, open, high, low, "
        "close, 7, null FROM stock_prices LIMIT 1"
    )
    allow(Dataset.MINUTE_BARS)
    result = again(MINUTE_BARS)
    assert (result.loaded, result.stays) == (1, 1)
    assert query(
        "SELECT (time AT TIME ZONE 'Asia/Seoul')::text, volume FROM stock_prices ORDER BY time "
        "LIMIT 2"
    ) == [("2025-01-02 09:00:00", -1), ("2025-01-02 09:01:00", 7)]


def test_members_move_into_their_session_and_no_other(
    again, query_application, application_database, monkeypatch
):
    def load(session, *markets):
        rows = [(f"{n:06d}", f"n{n}", market, None, None, None) for n, market in enumerate(markets)]
        frame = pd.DataFrame(rows, columns=list(SYMBOLS.column_names))
        source = Dump(frame)
        source.symbols = source.daily_bars
        attempt = Attempt(SYMBOLS, session, None, f"{session}", "dump", False, False, NOW)
        ingest(source, application_database, attempt, source_timeout=10, now=NOW)

    load(SESSION, "KOSPI", "NEW", "KOSPI")
    load(date(2025, 1, 3), "KOSPI", "KOSPI", "KOSPI")
    rule = pa.Check.isin(["KOSPI", "NEW"])
    change_rules(monkeypatch, Dataset.SYMBOLS, "market", checks=[rule])
    assert again(SYMBOLS, application_database).loaded == 1
    assert query_application(
        "SELECT valid_from::text, valid_to::text, market FROM symbols WHERE symbol = '000001' "
        "ORDER BY 1"
    ) == [("2025-01-02", "2025-01-03", "NEW"), ("2025-01-03", None, "KOSPI")]
    assert query_application("SELECT count(*) FROM quarantine") == [(0,)]
    assert again(SYMBOLS, application_database).loaded == 0


def test_killed_in_between_it_loses_nothing(
    run, again, allow, stored, query, timescaledb, as_superuser, monkeypatch
):
    run(Dump(with_bad(100, 3)))
    allow()
    take_out, killed = resources.requeue._take_out, []

    def killed_once(cursor, ids):
        if not killed:
            killed.append(True)
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
            as_superuser(f"SELECT pg_terminate_backend({pid})")
        take_out(cursor, ids)

    monkeypatch.setattr(resources.requeue, "_take_out", killed_once)
    with pytest.raises(DatabaseUnavailableError):
        requeue.__wrapped__(timescaledb, DAILY_BARS, SESSION, run_id="again", now=NOW)
    assert len(stored()) == 97
    assert query("SELECT count(*) FROM quarantine") == [(3,)]
    killed.clear()
    # And by itself it is tried again.
    assert again().loaded == 3
    assert len(stored()) == 100
