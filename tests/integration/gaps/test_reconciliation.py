"""Tables that must say the same of a session: each rule is broken once, and it alone says so."""

import pandas as pd
import pytest

from resources.checks.reconciliation import RECONCILIATIONS
from resources.checks.results import verdicts
from resources.tables import Dataset
from tests.integration.gaps.market import FIRST, frame_of


@pytest.fixture
def differences(compare):
    """What is found, by those of the rules that fail."""

    def differences() -> dict[str, list[str]]:
        return {
            name: [
                example.get("difference", example.get("investor"))
                for example in result.details["examples"]
            ]
            for name, result in compare().items()
            if not result.passed
        }

    return differences


def traded(frame):
    """The first symbol that traded, as its place in the frame."""
    return frame.index[frame["volume"] > 0][0]


def bar_with(**to):
    """Daily bars in which one has other values, of a function of its own ones."""

    def change(frame):
        row = traded(frame)
        for column, value in to.items():
            frame.loc[row, column] = value(frame.loc[row])
        return frame

    return {"daily_bars": change}


def shifted(frame):
    """More bought by institutions, less by foreigners: it still sums to zero."""
    much = int(frame["institution_amount"].abs().max())
    kospi = frame["market"] == "KOSPI"
    frame.loc[kospi, "institution_amount"] += much
    frame.loc[kospi, "foreign_amount"] -= much
    return frame


def silent(frame):
    at = frame["time"].dt.tz_convert("Asia/Seoul").dt.strftime("%H:%M")
    return frame[~at.isin(["10:00", "15:30"])]


def of_one_symbol(frame):
    return frame[frame["symbol"] == frame["symbol"].iloc[0]]


BARS, CANDLES = "symbols.seen_in_bars", "daily_candles.equals_daily_bars"
FLOWS, MINUTES = "market_flows.sum_of_symbols", "minute_bars.no_silent_minutes"
FAULTS = {
    "open": (
        bar_with(open=lambda bar: bar["high"] if bar["open"] != bar["high"] else bar["low"]),
        {CANDLES: ["prices"]},
    ),
    "high": (bar_with(high=lambda bar: bar["high"] + 1), {CANDLES: ["prices"]}),
    "low": (bar_with(low=lambda bar: bar["low"] - 1), {CANDLES: ["prices"]}),
    "close": (
        bar_with(close=lambda bar: bar["high"] if bar["close"] != bar["high"] else bar["low"]),
        {CANDLES: ["prices"]},
    ),
    "less volume than its minutes": (
        bar_with(volume=lambda bar: int(bar["volume"] * 0.9)),
        {CANDLES: ["more volume"]},
    ),
    "nearly twice their volume, which is within the bound": (
        bar_with(volume=lambda bar: int(bar["volume"] * 1.9)),
        {},
    ),
    "more than twice their volume": (
        bar_with(volume=lambda bar: bar["volume"] * 2),
        {CANDLES: ["less volume"]},
    ),
    "a bar missing": (
        {"daily_bars": lambda frame: frame.drop(index=traded(frame))},
        {BARS: ["no bar"], CANDLES: ["no daily bar"]},
    ),
    "a member missing": (
        {"symbols": lambda frame: frame.iloc[:-1]},
        {BARS: ["no member"]},
    ),
    "a market's flows no sum": ({"market_flows": shifted}, {FLOWS: ["institution", "foreign"]}),
    "minutes missing": ({"minute_bars": silent}, {MINUTES: ["no bar", "no bar"]}),
    "a symbol's minutes missing": (
        {"minute_bars": lambda frame: frame[frame["symbol"] != frame["symbol"].iloc[0]]},
        {MINUTES: ["no minutes"]},
    ),
}


def test_each_difference_is_found_by_its_rule_and_no_other(
    load, refresh_candles, compare, differences
):
    load()
    refresh_candles()
    found = compare()
    assert len(found) == len(RECONCILIATIONS)
    assert all(one.passed and one.checked and not one.found for one in found.values()), found
    assert not any("not_evaluated" in one.details for one in found.values()), found
    assert compare() == {}
    for fault, (change, expected) in FAULTS.items():
        (dataset,) = change
        load(dataset, **change)
        # The candles of changed minutes are not refreshed here, so they are not compared again.
        assert differences() == expected, fault
        load(dataset)
        assert differences() == {}, fault


def test_what_is_found_is_named(load, compare):
    load("symbols", "daily_bars")
    load("minute_bars", minute_bars=silent)
    result = compare()["minute_bars.no_silent_minutes"]
    assert (result.found, result.details["silent_minutes"]) == (2, 2)
    assert [example["what"] for example in result.details["examples"]] == [
        "10:00:00 in Seoul",
        "15:30:00 in Seoul",
    ]
    load("supply_demand", supply_demand=lambda frame: frame.iloc[1:])
    result = compare()["supply_demand.members_have_flows"]
    assert result.details["examples"] == [
        {"symbol": frame_of("symbols", FIRST)["symbol"][0], "difference": "no row"}
    ]


class TestNotEvaluated:
    def test_before_the_other_side_is_there(self, load, compare):
        load("symbols")
        assert compare() == {}
        load("daily_bars")
        assert set(compare()) == {"symbols.seen_in_bars"}

    def test_flows_that_cover_few_symbols(self, load, compare):
        load("symbols", "market_flows")
        load("supply_demand", supply_demand=lambda frame: frame.iloc[:3])
        found = compare()
        assert found["supply_demand.members_have_flows"].details["not_evaluated"] == (
            "the source covers 3 of 10 members"
        )
        assert "flows cover" in found["market_flows.sum_of_symbols"].details["not_evaluated"]
        assert found["market_flows.sum_of_symbols"].details["coverage"] == {
            "KOSPI": "1 of 3 members",
            "KOSDAQ": "2 of 8 members",
        }

    def test_flows_that_are_estimated(self, load, compare):
        load("symbols", "market_flows")
        load("supply_demand", supply_demand=lambda frame: frame.assign(estimated=True))
        result = compare()["market_flows.sum_of_symbols"]
        assert result.passed and not result.checked
        assert (
            "KOSPI: flows of symbols are estimated (3 of 3 members)"
            in (result.details["not_evaluated"])
        )

    def test_minutes_of_few_symbols(self, load, compare):
        load("daily_bars")
        load("minute_bars", minute_bars=of_one_symbol)
        result = compare()["minute_bars.no_silent_minutes"]
        assert result.passed
        assert result.details["symbols_not_evaluated"].startswith("the source covers 1 of ")
        assert result.details["silent_minutes"] == 0

    def test_of_few_symbols_a_long_silence_is_missing(self, load, compare):
        load("daily_bars")

        def until_eleven(frame):
            frame = of_one_symbol(frame)
            return frame[frame["time"] < pd.Timestamp("2025-01-02 11:00", tz="Asia/Seoul")]

        load("minute_bars", minute_bars=until_eleven)
        result = compare()["minute_bars.no_silent_minutes"]
        # From 11:00 to the one before the closing auction's call, and the auction.
        assert (result.passed, result.found) == (False, 4 * 60 + 20 + 1)

    def test_a_symbol_that_seldom_trades_says_nothing_of_minutes(self, load, compare):
        load("daily_bars")
        load("minute_bars", minute_bars=lambda frame: of_one_symbol(frame).iloc[::2])
        result = compare()["minute_bars.no_silent_minutes"]
        assert result.passed
        assert "minutes_not_evaluated" in result.details

    def test_kinds_the_bars_do_not_have_are_counted_apart(self, load, compare):
        load("daily_bars")

        def fund(frame):
            return frame.assign(
                kind=["etn", *frame["kind"].iloc[1:]], symbol=["0000A0", *frame["symbol"].iloc[1:]]
            )

        load("symbols", symbols=fund)
        result = compare()["symbols.seen_in_bars"]
        assert result.details["members_of_kinds_without_bars"] == {"etn": 1}
        assert (result.details["members_without_bar"], result.details["bars_without_member"]) == (
            0,
            1,
        )


def test_being_compared_is_not_being_checked(load, compare, timescaledb):
    load("daily_bars", "minute_bars")
    compare()
    assert not verdicts(timescaledb, Dataset.MINUTE_BARS)[FIRST].checked
