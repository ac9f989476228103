from datetime import date, time

import pytest

from resources import calendar as calendar_module
from resources.calendar import krx_calendar


def test_sessions_are_the_exchanges_own(market_data):
    """Every session of 2005 to 2026, and no other day."""
    listed = (market_data / "reference" / "krx_trading_days_20050103_20260821.csv").read_text()
    real = [date.fromisoformat(line) for line in listed.split()[1:]]
    assert len(real) == 5338
    assert [day for day in krx_calendar().sessions if day <= real[-1]] == real


@pytest.mark.parametrize("closed", ["2026-06-03", "2026-07-17", "2025-01-27", "2025-12-31"])
def test_closed_days(closed):
    assert not krx_calendar().is_session(date.fromisoformat(closed))


@pytest.mark.parametrize(
    ("session", "opening", "closing"),
    [
        ("2025-06-13", time(9), time(15, 30)),
        ("2024-01-02", time(10), time(15, 30)),  # the year's first session
        ("2025-11-13", time(10), time(16, 30)),  # entrance exam: ours
        ("2020-12-03", time(10), time(16, 30)),  # entrance exam: exchange_calendars'
        ("2010-03-02", time(9), time(15, 0)),  # before August 2016
    ],
)
def test_hours(session, opening, closing):
    day = date.fromisoformat(session)
    assert (krx_calendar().open(day), krx_calendar().close(day)) == (opening, closing)


def test_next_session():
    assert krx_calendar().next_session(date(2025, 1, 25)) == date(2025, 1, 31)
    assert krx_calendar().next_session(date(2025, 1, 31)) == date(2025, 1, 31)
    with pytest.raises(ValueError, match="on or after 2100-01-01"):
        krx_calendar().next_session(date(2100, 1, 1))


def test_cache_survives_damage(tmp_path, monkeypatch):
    """A cache that is cut off is built again, and then read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    krx_calendar.cache_clear()
    try:
        first = krx_calendar().sessions
        (cache,) = (tmp_path / "stock-assets").glob("krx-sessions-*.json")
        cache.write_text(cache.read_text()[:1000])
        krx_calendar.cache_clear()
        assert krx_calendar().sessions == first
        krx_calendar.cache_clear()
        monkeypatch.setattr(calendar_module, "_build", lambda *_: pytest.fail("not cached"))
        assert krx_calendar().sessions == first
    finally:
        krx_calendar.cache_clear()


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2026-06-03", "local elections"),
        ("2025-12-31", "End of Year Holiday"),
        ("2025-10-06", "Chuseok (Korean Thanksgiving Day)"),
        ("2025-06-14", "Saturday"),
        ("2026-05-24", "Sunday"),
        ("2024-10-01", "a closed day"),  # decreed for one year, without a name
    ],
)
def test_closed_because(day, reason):
    assert krx_calendar().closed_because(date.fromisoformat(day)) == reason
