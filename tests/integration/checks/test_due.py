"""Which sessions are to be checked, first or anew; and what a check of them is worth."""

from datetime import datetime

import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.checks.due import due_sessions
from resources.checks.evaluation import NothingToCheckError
from resources.checks.results import (
    blocked_sessions,
    keep_results,
    results_of,
    unchecked_sessions,
)
from resources.settings import market_settings
from resources.tables import Dataset
from tests.integration.checks.conftest import BEFORE, SESSION

DAILY, MINUTE = Dataset.DAILY_BARS, Dataset.MINUTE_BARS


@pytest.fixture
def due(databases):
    def due(dataset: Dataset, at: str = "2026-01-05 12:00") -> list[str]:
        now = datetime.fromisoformat(at).replace(tzinfo=SEOUL)
        found = due_sessions(databases, dataset, krx_calendar(), market_settings({}), now)
        return [str(one.session) for one in found]

    return due


@pytest.fixture
def keep(databases, check):
    """Check sessions and keep what was found."""

    def keep(dataset: Dataset, *sessions) -> None:
        for session in sessions:
            results = list(check(dataset, session).values())
            keep_results(databases.timescaledb, dataset, session, results, "run")

    return keep


def test_a_load_makes_older_results_meaningless(load, keep, due, timescaledb, query):
    load(DAILY)
    assert due(DAILY) == [str(SESSION)]
    assert unchecked_sessions(timescaledb, DAILY) == [SESSION]
    query("UPDATE daily_bars SET high = low, low = high WHERE high > low")
    keep(DAILY, SESSION)
    assert due(DAILY) == []
    assert blocked_sessions(timescaledb, DAILY) == {SESSION: ("ohlc_order",)}
    load(DAILY)
    assert due(DAILY) == [str(SESSION)]
    assert blocked_sessions(timescaledb, DAILY) == {}
    keep(DAILY, SESSION)
    assert all(result.passed for result in results_of(timescaledb, DAILY, SESSION))


def test_results_of_an_older_load_do_not_replace_those_of_a_newer_one(
    load, check, keep, timescaledb
):
    load(DAILY)
    old = list(check(DAILY).values())
    load(DAILY)
    keep(DAILY, SESSION)
    newest = results_of(timescaledb, DAILY, SESSION)
    keep_results(timescaledb, DAILY, SESSION, old, "a slow run")
    assert results_of(timescaledb, DAILY, SESSION) == newest


def test_what_was_lacking_is_waited_for(load, keep, due):
    """Members, the session before, the daily bars: each makes the session due, once."""
    load(DAILY)
    keep(DAILY, SESSION)
    assert due(DAILY) == []
    load(DAILY, BEFORE)
    assert due(DAILY) == [str(BEFORE), str(SESSION)]
    keep(DAILY, BEFORE, SESSION)
    assert due(DAILY) == []
    # Members of the session before serve both.
    load(Dataset.SYMBOLS, BEFORE)
    assert due(DAILY) == [str(BEFORE), str(SESSION)]
    keep(DAILY, BEFORE, SESSION)
    assert due(DAILY) == []


def test_named_symbols_alone_are_no_session_to_compare_with(load, keep, due):
    load(DAILY)
    keep(DAILY, SESSION)
    load(DAILY, BEFORE, symbols=("000010",))
    keep(DAILY, BEFORE)
    assert due(DAILY) == []


def test_provisional_rows_are_checked_again_past_their_final_time(load, keep, due, query):
    load(MINUTE, provisional=True)
    keep(MINUTE, SESSION)
    query("UPDATE check_results SET at = '2025-06-13 11:00+09'")
    assert due(MINUTE, "2025-06-13 15:59") == []
    assert due(MINUTE, "2025-06-13 16:00") == [str(SESSION)]
    query("UPDATE check_results SET at = '2025-06-13 16:01+09'")
    assert due(MINUTE, "2025-06-13 16:10") == []


def test_what_retention_dropped_is_not_checked(load, check, due, query):
    load(MINUTE)
    query("DELETE FROM stock_prices")
    query(
        "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, "
        "outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at) VALUES "
        "('r', 'minute_bars', %s, 'retention', true, false, 'dropped', 0, 1, 0, now(), now())",
        [SESSION],
    )
    assert due(MINUTE) == []
    with pytest.raises(NothingToCheckError):
        check(MINUTE)
    load(MINUTE)
    assert due(MINUTE) == [str(SESSION)]
