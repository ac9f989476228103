"""What checks are held against: ticks, limits, hours of a date; whose a refusal is; bounds."""

from datetime import date

import pytest

from resources.calendar import krx_calendar
from resources.checks.coverage import Expected, row_count, unknown_symbols
from resources.checks.market import Ladder, Member, hours, ladder, price_limit
from resources.checks.refusals import rules_of
from resources.checks.rules import RULES
from resources.tables import Dataset

CALENDAR = krx_calendar()


def member(symbol="005930", market="KOSPI", kind="common", listed=None, delisted=None) -> Member:
    return Member(symbol, market, kind, listed, delisted)


def tick(ladder: Ladder | None, price: int) -> int:
    assert ladder is not None
    return ladder.ticks[sum(price >= below for below in ladder.below)]


@pytest.mark.parametrize(
    ("session", "market", "kind", "price", "expected"),
    [
        ("2023-01-20", "KOSPI", "common", 1_500, 5),
        ("2023-01-25", "KOSPI", "common", 1_500, 1),
        ("2023-01-25", "KOSDAQ", "common", 2_000, 5),
        ("2023-01-20", "KOSPI", "common", 150_000, 500),
        ("2023-01-20", "KOSDAQ", "common", 150_000, 100),
        ("2025-01-02", "KOSDAQ", None, 199_900, 100),
        ("2025-01-02", "KOSPI", "common", 500_000, 1_000),
        ("2025-01-02", "KOSPI", "etf", 100_000, 5),
        ("2025-01-02", "KOSPI", "etf", 1_999, 1),
        ("2023-01-25", "KOSPI", "etn", 1_999, 5),
    ],
)
def test_ticks_by_date_market_and_kind(session, market, kind, price, expected):
    of = ladder(member(market=market, kind=kind), date.fromisoformat(session))
    assert tick(of, price) == expected


def test_ticks_that_are_not_known_are_none():
    assert ladder(member(), date(2009, 1, 5)) is None


@pytest.mark.parametrize(
    ("session", "one", "expected"),
    [
        ("2025-01-02", member(), 0.3),
        ("2015-06-12", member(), 0.15),
        ("2015-06-15", member(market="KOSDAQ"), 0.3),
        ("2025-01-02", member(market="KONEX"), 0.15),
        ("2025-01-02", member(kind="etf"), None),
        ("2025-01-02", member(listed=date(2025, 1, 2)), None),
        ("2025-01-03", member(listed=date(2025, 1, 2)), 0.3),
        ("2025-01-02", member(delisted=date(2025, 1, 13)), None),
        ("2025-01-02", member(delisted=date(2025, 3, 3)), 0.3),
    ],
)
def test_price_limits_by_date_and_listing(session, one, expected):
    assert price_limit(one, date.fromisoformat(session), CALENDAR) == expected


def test_hours_move_with_the_session_at_krx_and_nxt_has_its_own():
    krx, nxt = hours(date(2025, 11, 13), CALENDAR)  # the exam
    clocks = [f"{at:%H:%M}" for at in (krx.first, krx.until, krx.auction, krx.auction_end)]
    assert clocks == ["10:00", "16:20", "16:30", "16:32"]
    assert [f"{at:%H:%M}" for at in (nxt.first, nxt.until)] == ["08:00", "20:00"]
    assert [one.venue for one in hours(date(2025, 3, 4), CALENDAR)] == ["KRX", "NXT"]
    assert [one.venue for one in hours(date(2025, 2, 28), CALENDAR)] == ["KRX"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (
            "open is negative or too large; volume is negative",
            {"positive_prices", "non_negative_volume"},
        ),
        ("duplicate of (symbol, date); date is not the session's", {"duplicates", "refused_rows"}),
        ("close is missing", {"refused_rows"}),
        ("a price is 0", {"positive_prices"}),
        ("close is not a number: 'x; volume is negative; a price is 0'", {"refused_rows"}),
        ("volume is not a whole number: 1.5; close is not a number: '?'", {"refused_rows"}),
        ("something new", {"refused_rows"}),
    ],
)
def test_a_refused_row_is_of_the_rules_its_reasons_name(reason, expected):
    assert rules_of(Dataset.DAILY_BARS, reason) == expected


def test_a_reason_of_a_rule_that_a_dataset_has_not_is_not_lost():
    assert rules_of(Dataset.SYMBOLS, "volume is negative") == {"refused_rows"}


def test_names_are_unique_and_described():
    for rules in RULES.values():
        assert len({rule.name for rule in rules}) == len(rules)
        assert all(len(rule.description) > 30 for rule in rules)


CODES = [f"{number:06d}" for number in range(1_000)]
MEMBERS = {code: member(code) for code in CODES}


@pytest.mark.parametrize(("strangers", "passed"), [(5, True), (9, True), (11, False)])
def test_one_percent_of_the_symbols_may_be_unknown(strangers, passed):
    there = {*CODES[: 1_000 - strangers], *(f"ZZ{number:04d}" for number in range(strangers))}
    found = unknown_symbols(there, MEMBERS)
    assert (found.found, found.passed) == (strangers, passed)


@pytest.mark.parametrize(("missing", "passed"), [(0, True), (50, True), (51, False)])
def test_as_many_members_may_be_missing_as_the_coverage_says(missing, passed):
    found = row_count(set(CODES[missing:]), Expected(members=MEMBERS, coverage=0.95))
    assert found.passed is passed
    assert found.details["missing"] == missing


def test_a_kind_that_the_source_does_not_hold_is_not_missing():
    funds = {f"F{number:05d}": member(f"F{number:05d}", kind="etf") for number in range(500)}
    known = MEMBERS | funds
    found = row_count(set(CODES), Expected(members=known, coverage=0.95))
    assert found.passed and found.details["kinds_not_held"] == ["etf"]
    # But it is where the session before had it.
    held = row_count(set(CODES), Expected(members=known, coverage=0.95, before=set(known)))
    assert not held.passed and held.found == 500


def test_a_session_with_half_the_bars_of_the_one_before_is_not_whole():
    assert row_count(set(CODES), Expected(bars_before=100), 51).passed
    assert not row_count(set(CODES), Expected(bars_before=100), 49).passed
