from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from resources.calendar import krx_calendar
from resources.settings import market_settings
from resources.tables import Dataset
from stock_assets.partitions import krx_sessions, session_partitions

KST = ZoneInfo("Asia/Seoul")


def keys(first: str, now: str) -> list[str]:
    moment = datetime.fromisoformat(now).replace(tzinfo=KST)
    with dg.partition_loading_context(effective_dt=moment):
        return list(krx_sessions(date.fromisoformat(first)).get_partition_keys())


def test_partitions_are_the_real_sessions(market_data):
    listed = (market_data / "reference" / "krx_trading_days_20050103_20260821.csv").read_text()
    real = listed.split()[1:]
    assert keys("2005-01-03", "2026-08-21 12:00") == real


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-08-20 23:59", "2026-08-20"),
        ("2026-08-21 00:00", "2026-08-21"),  # today's, from midnight in Seoul
        ("2026-08-22 12:00", "2026-08-24"),  # Saturday lists Monday
        ("2025-01-28 12:00", "2025-01-31"),  # a holiday lists the session after it
    ],
)
def test_last_partition(now, last):
    assert keys("2025-01-02", now)[-1] == last


def test_today_is_listed_if_krx_trades():
    today = datetime.now(KST).date()
    listed = krx_sessions(today - timedelta(days=30)).get_partition_keys()
    assert listed[-1] == str(krx_calendar().next_session(today))


def test_weekends_and_holidays_have_none():
    listed = set(keys("2024-01-02", "2026-08-21 12:00"))
    assert all(krx_calendar().is_session(date.fromisoformat(key)) for key in listed)
    assert not listed & {"2025-01-27", "2025-01-28", "2026-06-03", "2026-07-17", "2026-03-14"}


def test_range_keeps_to_sessions():
    partitions = krx_sessions(date(2025, 1, 2))
    in_range = partitions.get_partition_keys_in_range(
        dg.PartitionKeyRange("2025-01-24", "2025-02-03")
    )
    assert in_range == ["2025-01-24", "2025-01-31", "2025-02-03"]


def test_first_session_is_configured_or_two_years_back():
    settings = market_settings({"DAILY_BARS_FIRST_SESSION": "2018-01-01"})
    start = session_partitions(Dataset.DAILY_BARS, settings).get_first_partition_key()
    assert start == "2018-01-02"
    assert settings.first_session(Dataset.MINUTE_BARS, date(2026, 11, 23)) == date(2024, 1, 2)
