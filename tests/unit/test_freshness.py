"""Which session is due when."""

from datetime import date, datetime

import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.freshness import Freshness, Watched, due_session
from resources.settings import SettingsError, market_settings


def due(at: str, watched: Watched = Watched.DAILY_BARS, **variables: str) -> str:
    settings = market_settings(variables)
    moment = datetime.fromisoformat(at).replace(tzinfo=SEOUL)
    return str(due_session(watched, krx_calendar(), settings, moment))


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2025-06-13 08:00", "2025-06-12"),  # before it opens
        ("2025-06-13 16:10", "2025-06-12"),  # being collected
        ("2025-06-13 17:39", "2025-06-12"),  # within the grace
        ("2025-06-13 17:40", "2025-06-13"),
        ("2025-06-14 17:40", "2025-06-13"),  # Saturday
        ("2025-06-16 17:39", "2025-06-13"),  # Monday
        ("2025-10-09 23:00", "2025-10-02"),  # Chuseok, a week long
        ("2025-10-10 17:40", "2025-10-10"),
        ("2026-06-03 18:00", "2026-06-02"),  # closed for elections, which XKRX misses
        ("2025-11-13 18:39", "2025-11-12"),  # exam day: everything an hour later
        ("2025-11-13 18:40", "2025-11-13"),
    ],
)
def test_the_session_due(at, expected):
    assert due(at) == expected


def test_each_dataset_has_its_own_time():
    assert due("2025-06-13 19:39", Watched.SUPPLY_DEMAND) == "2025-06-12"
    assert due("2025-06-13 19:40", Watched.SUPPLY_DEMAND) == "2025-06-13"
    # Candles need minute bars first.
    assert due("2025-06-13 17:54", Watched.DAILY_CANDLES) == "2025-06-12"
    assert due("2025-06-13 17:55", Watched.DAILY_CANDLES) == "2025-06-13"


def test_time_and_grace_are_configured():
    late = {"DAILY_BARS_COLLECTION_TIME": "23:00", "FRESHNESS_GRACE": "120"}
    assert due("2025-06-14 00:59", **late) == "2025-06-12"
    assert due("2025-06-14 01:00", **late) == "2025-06-13"
    with pytest.raises(SettingsError, match="FRESHNESS_GRACE='-1'"):
        market_settings({"FRESHNESS_GRACE": "-1"})


def test_nothing_is_due_before_the_first_session():
    first = {"DAILY_BARS_FIRST_SESSION": "2025-06-13"}
    assert due("2025-06-13 17:39", **first) == "None"
    assert due("2025-06-13 17:40", **first) == "2025-06-13"


def test_instants_are_compared_whatever_their_zone():
    moment = datetime.fromisoformat("2025-06-13T08:40+00:00")
    settings = market_settings({})
    assert due_session(Watched.SYMBOLS, krx_calendar(), settings, moment) == date(2025, 6, 13)


@pytest.mark.parametrize(
    ("newest", "fresh"),
    [(None, False), ("2025-06-12", False), ("2025-06-13", True), ("2025-06-16", True)],
)
def test_fresh(newest, fresh):
    since = datetime(2025, 6, 13, 17, 40, tzinfo=SEOUL)
    found = Freshness(date(2025, 6, 13), since, newest and date.fromisoformat(newest), "Why.")
    assert found.is_fresh == fresh
    assert str(found).startswith("2025-06-13 was due at 17:40 on 2025-06-13")
    assert ("Why." in str(found)) != fresh
