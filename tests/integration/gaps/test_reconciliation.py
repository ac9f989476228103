"""Tables that must say the same of a session: each rule is broken once, and it alone says so."""

import pytest

from resources.checks.reconciliation import RECONCILIATIONS
from resources.checks.results import verdicts
from resources.tables import Dataset
from tests.integration.gaps.market import FIRST


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


@pytest.fixture
def agreeing(load, refresh_candles, compare):
    """A session of all tables, which agree."""
    load()
    refresh_candles()
    found = compare()
    assert len(found) == len(RECONCILIATIONS)
    assert all(one.passed and one.checked and not one.found for one in found.values()), found
    assert not any("not_evaluated" in one.details for one in found.values()), found
    assert compare() == {}


def traded(frame):
    return frame.index[frame["volume"] > 0]


def changed(name, **to):
    """Change cells of the first symbol that traded."""

    def change(frame):
        frame = frame.copy()
        row = traded(frame)[0] if "volume" in frame else frame.index[0]
        for column, value in to.items():
            frame.loc[row, column] = value(frame.loc[row, column])
        return frame

    return {name: change}


@pytest.mark.usefixtures("agreeing")
class TestEachDifferenceIsFound:
    @pytest.mark.parametrize("price", ["open", "high", "low", "close"])
    def test_prices(self, load, differences, price):
        step = 1 if price == "high" else -1
        load("daily_bars", **changed("daily_bars", **{price: lambda value: value + step * 0.5}))
        found = differences()
        assert found == {"daily_candles.equals_daily_bars": ["prices"]}

    def test_more_volume_in_the_minutes(self, load, differences):
        load("daily_bars", **changed("daily_bars", volume=lambda value: int(value * 0.9)))
        assert differences() == {"daily_candles.equals_daily_bars": ["more volume"]}

    def test_much_less_volume_in_the_minutes(self, load, differences):
        load("daily_bars", **changed("daily_bars", volume=lambda value: int(value * 1.9)))
        assert differences() == {}
        load("daily_bars", **changed("daily_bars", volume=lambda value: value * 2))
        assert differences() == {"daily_candles.equals_daily_bars": ["less volume"]}

    def test_a_bar_that_is_missing(self, load, differences):
        load("daily_bars", daily_bars=lambda frame: frame.drop(index=traded(frame)[0]))
        assert differences() == {
            "symbols.seen_in_bars": ["no bar"],
            "daily_candles.equals_daily_bars": ["no daily bar"],
        }

    def test_a_member_that_is_missing(self, load, differences):
        load("symbols", symbols=lambda frame: frame.iloc[:-1])
        assert differences() == {"symbols.seen_in_bars": ["no member"]}

    def test_flows_that_are_missing(self, load, differences):
        load("supply_demand", supply_demand=lambda frame: frame.iloc[1:])
        found = differences()
        assert found.pop("supply_demand.members_have_flows") == ["no row"]
        assert set(found) == {"market_flows.sum_of_symbols"}

    def test_market_flows_that_are_no_sum(self, load, differences):
        def shifted(frame):
            much = frame["institution_amount"].abs().max()
            kospi = frame["market"] == "KOSPI"
            frame.loc[kospi, "institution_amount"] += much
            frame.loc[kospi, "foreign_amount"] -= much
            return frame

        load("market_flows", market_flows=shifted)
        assert differences() == {"market_flows.sum_of_symbols": ["institution", "foreign"]}

    def test_minutes_in_which_nobody_traded(self, load, compare):
        def silent(frame):
            at = frame["time"].dt.tz_convert("Asia/Seoul").dt.strftime("%H:%M")
            return frame[~at.isin(["10:00", "15:30"])]

        load("minute_bars", minute_bars=silent)
        result = compare()["minute_bars.no_silent_minutes"]
        assert (result.passed, result.found, result.details["silent_minutes"]) == (False, 2, 2)
        assert [example["what"] for example in result.details["examples"]] == [
            "10:00:00 in Seoul",
            "15:30:00 in Seoul",
        ]

    def test_symbols_without_minutes(self, load, compare):
        first = changed_symbol = []

        def without(frame):
            changed_symbol.append(frame["symbol"].iloc[0])
            return frame[frame["symbol"] != first[0]]

        load("minute_bars", minute_bars=without)
        result = compare()["minute_bars.no_silent_minutes"]
        assert (result.passed, result.found) == (False, 1)
        assert result.details["examples"] == [{"what": first[0], "difference": "no minutes"}]

    def test_loading_the_right_rows_again_mends_it(self, load, differences):
        load("symbols", symbols=lambda frame: frame.iloc[:-1])
        assert differences()
        load("symbols")
        assert differences() == {}


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
            "the source covers 3 of 12 members"
        )
        assert "flows cover" in found["market_flows.sum_of_symbols"].details["not_evaluated"]
        assert found["market_flows.sum_of_symbols"].details["coverage"] == {
            "KOSPI": "1 of 4 members",
            "KOSDAQ": "2 of 8 members",
        }

    def test_flows_that_are_estimated(self, load, compare):
        load("symbols", "market_flows")
        load("supply_demand", supply_demand=lambda frame: frame.assign(estimated=True))
        result = compare()["market_flows.sum_of_symbols"]
        assert result.passed and not result.checked
        assert (
            "KOSPI: flows of symbols are estimated (4 of 4 members)"
            in (result.details["not_evaluated"])
        )

    def test_minutes_of_few_symbols(self, load, compare):
        load("daily_bars")
        load("minute_bars", minute_bars=lambda f: f[f["symbol"] == f["symbol"].iloc[0]])
        result = compare()["minute_bars.no_silent_minutes"]
        assert result.passed
        assert result.details["symbols_not_evaluated"].startswith("the source covers 1 of ")

    def test_kinds_the_bars_do_not_have_are_counted_apart(self, load, compare):
        load("daily_bars")

        def fund(frame):
            return frame.assign(
                kind=["etf", *frame["kind"].iloc[1:]], symbol=["0000A0", *frame["symbol"].iloc[1:]]
            )

        load("symbols", symbols=fund)
        result = compare()["symbols.seen_in_bars"]
        assert result.details["members_of_kinds_without_bars"] == {"etf": 1}
        assert (result.details["members_without_bar"], result.details["bars_without_member"]) == (
            0,
            1,
        )


def test_being_compared_is_not_being_checked(load, compare, timescaledb):
    load("daily_bars", "minute_bars")
    compare()
    assert not verdicts(timescaledb, Dataset.MINUTE_BARS)[FIRST].checked
