"""The daily bars of 2024 and 2025 as KRX published them: every finding is one of docs/findings.md,
and nothing else is found."""

from collections import Counter

import pytest

from resources.calendar import krx_calendar, seoul_now
from resources.checks.evaluation import evaluate
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.settings import market_settings
from resources.sources.selection import select_source
from resources.tables import TABLES, Dataset

FINDINGS = {
    2024: {"daily_bars vwap": 162, "daily_bars price_limit": 6},
    2025: {"daily_bars vwap": 185, "daily_bars price_limit": 4},
}


@pytest.fixture
def source(market_data):
    return select_source(
        market_settings({"MARKET_SOURCE": "files", "MARKET_DATA_DIR": str(market_data)})
    )


@pytest.mark.parametrize(
    ("year", "first", "last", "sessions"),
    [(2024, "2024-01-02", "2024-02-13", 29), (2025, "2025-01-02", "2025-02-11", 25)],
)
def test_what_is_found(source, databases, year, first, last, sessions):
    calendar, settings, now = krx_calendar(), market_settings({}), seoul_now()
    days = [day for day in calendar.sessions if first <= str(day) <= last]
    assert len(days) == sessions
    found: Counter[str] = Counter()
    for day in days:
        for dataset in (Dataset.SYMBOLS, Dataset.DAILY_BARS):
            attempt = Attempt(TABLES[dataset], day, None, "r", source.name, False, False, now)
            ingest(source, databases.of(dataset), attempt, source_timeout=300, now=now)
            for result in evaluate(
                databases, dataset, day, calendar=calendar, settings=settings, now=now
            ):
                if not result.passed:
                    found[f"{dataset} {result.rule}"] += result.found
    assert found == FINDINGS[year]
