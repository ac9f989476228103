"""What is missing or broken: ten different faults are ten findings, none lost and none invented."""

from datetime import datetime, timedelta

import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.checks.results import Result, keep_results
from resources.checks.rules import Severity
from resources.gaps import Gap, due_sessions, find_gaps
from resources.ingestion import IngestionError
from resources.ledger import newest_commits
from resources.settings import market_settings
from resources.sources import SourceError
from resources.tables import Dataset
from tests.integration.gaps.market import NOW, SESSIONS, frame_of

A, B, C = SESSIONS[-3:]
SYMBOL = frame_of("daily_bars", A)["symbol"][1]
THREE = {f"{name}_FIRST_SESSION".upper(): str(A) for name in Dataset}


@pytest.fixture
def found(databases, maintainer):
    """What is found, as (gap, asset, session, count)."""

    def found(**variables):
        settings = market_settings(THREE | variables)
        return sorted(
            (one.gap, one.asset, one.session, one.found)
            for one in find_gaps(databases, maintainer, settings, NOW)
        )

    return found


def without_first(frame):
    traded = frame[frame["volume"] > 0]["symbol"].iloc[0]
    return frame[frame["symbol"] != traded]


def less_volume(frame):
    row = frame.index[frame["volume"] > 0][0]
    return frame.assign(volume=frame["volume"].where(frame.index != row, frame["volume"] // 2))


def broken(frame):
    raise SourceError("the disk of the vendor burns")


def test_ten_faults_are_ten_findings(load, refresh_candles, compare, found, timescaledb, query):
    # B is of some symbols only, of which the members are carried over from A.
    load("symbols", sessions=(A, C))
    load("symbols", sessions=(B,), only=(SYMBOL,))
    load("daily_bars", sessions=(A,))
    load("daily_bars", sessions=(B,), daily_bars=less_volume)
    load("daily_bars", sessions=(C,), daily_bars=without_first)
    load("minute_bars", sessions=(A,), minute_bars=without_first)
    load("minute_bars", sessions=(B,))
    load("minute_bars", sessions=(C,), provisional=True)
    load("supply_demand", sessions=(A, B, C))
    load("market_flows", sessions=(A, C))
    load("companies", "etf_constituents", sessions=(A, B, C))
    with pytest.raises(IngestionError):
        load("market_flows", sessions=(C,), market_flows=broken)
    refresh_candles((A, B))
    compare()
    id = newest_commits(timescaledb, Dataset.DAILY_BARS)[A].id
    blocking = Result("tick_size", Severity.ERROR, False, 12, 5, id)
    keep_results(timescaledb, Dataset.DAILY_BARS, A, [blocking], "run")
    # Of a load that was replaced since, nothing counts.
    outlived = Result("tick_size", Severity.ERROR, False, 12, 5, id - 1)
    keep_results(timescaledb, Dataset.SUPPLY_DEMAND, B, [outlived], "run")
    query("DELETE FROM supply_demand WHERE date = %s AND symbol = %s", [A, SYMBOL])

    assert found() == sorted(
        [
            (Gap.BLOCKED_SESSION, "daily_bars", A, 5),
            (Gap.FAILED_ATTEMPT, "market_flows", C, 1),
            (Gap.FAILED_WARNING, "daily_candles", B, 1),
            (Gap.LOST_ROWS, "supply_demand", A, 1),
            (Gap.MISSING_MINUTES, "minute_bars", A, 1),
            (Gap.MISSING_SESSION, "market_flows", B, 1),
            (Gap.MISSING_SYMBOLS, "daily_bars", C, 1),
            (Gap.PARTIAL_SESSION, "symbols", B, 1),
            (Gap.PROVISIONAL, "minute_bars", C, 1),
            (Gap.STALE_CANDLES, "minute_bars", C, 3),
        ]
    )
    assert {gap for gap, *_ in found()} == set(Gap)

    status = query(
        "SELECT asset, session, last_outcome, provisional, blocked, failed_errors, "
        "failed_warnings, failed_rules, last_error FROM session_status "
        "WHERE blocked OR failed_warnings > 0 OR provisional OR last_error IS NOT NULL "
        "ORDER BY asset, session"
    )
    assert status == [
        ("daily_bars", A, "committed", False, True, 1, 0, ["tick_size"], None),
        ("market_flows", C, "failed", False, False, 0, 0, None, "the disk of the vendor burns"),
        ("minute_bars", A, "committed", False, False, 0, 1, ["no_silent_minutes"], None),
        ("minute_bars", C, "committed", True, False, 0, 0, None, None),
    ]

    # Everything loaded again, nothing is left.
    load(sessions=(A, B, C))
    refresh_candles((A, B, C))
    compare()
    assert found() == []


def test_what_retention_dropped_is_no_gap(load, found, query):
    load(sessions=(C,))
    assert {session for _, asset, session, _ in found() if asset == "daily_bars"} == {A, B}
    # Limits say what is kept: nothing before them is missed.
    kept = {"DAILY_BARS_RETENTION": "1"}
    assert [asset for _, asset, *_ in found(**kept) if asset == "daily_bars"] == ["daily_bars"]
    query("DELETE FROM daily_bars WHERE date = %s", [C])
    assert (Gap.LOST_ROWS, "daily_bars", C, 12) in found()
    query(
        """INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional,
               outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at)
           VALUES ('r', 'daily_bars', %s, 'retention', false, false, 'dropped', 0, 12, 0, now(),
                   now())""",
        [C],
    )
    assert (Gap.LOST_ROWS, "daily_bars", C, 12) not in found()
    assert not [one for one in found() if one[1] == "daily_bars" and one[2] == C]
    load("daily_bars", sessions=(C,))
    query("DELETE FROM daily_bars WHERE date = %s", [C])
    assert (Gap.LOST_ROWS, "daily_bars", C, 12) in found()


def test_a_session_is_missed_once_it_is_final():
    settings = market_settings(THREE)
    calendar = krx_calendar()
    at = datetime(2025, 1, 10, 17, tzinfo=SEOUL)
    assert due_sessions(Dataset.DAILY_BARS, settings, calendar, at) == [A, B, C]
    assert due_sessions(Dataset.SUPPLY_DEMAND, settings, calendar, at) == [A, B]
    at += timedelta(hours=1)
    assert due_sessions(Dataset.SUPPLY_DEMAND, settings, calendar, at) == [A, B, C]
