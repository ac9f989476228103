"""What every source keeps, whatever is behind it. A new source gets a case here and passes."""

from collections.abc import Callable, Iterator
from datetime import date, datetime

import pandas as pd
import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.settings import market_settings
from resources.sources import MarketSource, SourceError
from resources.sources.selection import select_source
from resources.tables import TABLES, Dataset
from resources.validation import split

NOW = datetime(2026, 11, 23, 18, tzinfo=SEOUL)

# MARKET_SOURCE, the variables it needs, and a session it covers of each dataset.
CASES = {
    "simulated": dict.fromkeys(Dataset, date(2025, 6, 13)),
    "files": {
        Dataset.SYMBOLS: date(2025, 1, 2),
        Dataset.DAILY_BARS: date(2025, 1, 2),
        Dataset.MINUTE_BARS: date(2018, 1, 17),
        Dataset.SUPPLY_DEMAND: date(2026, 3, 3),
        Dataset.MARKET_FLOWS: date(2025, 1, 2),
        Dataset.COMPANIES: date(2025, 1, 2),
        Dataset.ETF_CONSTITUENTS: date(2021, 4, 2),
    },
}


@pytest.fixture(scope="module", params=CASES)
def source(request: pytest.FixtureRequest) -> Iterator[MarketSource]:
    variables = {"MARKET_SOURCE": request.param}
    if request.param == "files":
        variables["MARKET_DATA_DIR"] = str(request.getfixturevalue("market_data"))
    yield select_source(market_settings(variables))


BY_SYMBOL = [dataset for dataset in Dataset if TABLES[dataset].by_symbol]


@pytest.fixture(params=Dataset)
def dataset(request: pytest.FixtureRequest) -> Dataset:
    return request.param


@pytest.fixture
def ask(source: MarketSource, dataset: Dataset) -> Callable[..., pd.DataFrame]:
    session = CASES[source.name][dataset]
    return lambda symbols=None, day=session: getattr(source, dataset)(day, symbols)


def test_it_says_what_it_is(source):
    assert source.name in CASES
    assert source.simulated == (source.name == "simulated")


def test_columns_are_the_tables(ask, dataset):
    assert list(ask().columns) == list(TABLES[dataset].column_names)


def test_rows_keep_the_rules(ask, source, dataset):
    frame = ask()
    judged = split(frame, TABLES[dataset], CASES[source.name][dataset], NOW)
    assert len(frame) > 0
    assert judged.reasons == []


def test_the_same_answer_twice(ask):
    pd.testing.assert_frame_equal(ask(), ask())


@pytest.mark.parametrize("dataset", BY_SYMBOL, indirect=True)
def test_named_symbols_are_a_part_of_the_whole(ask, dataset):
    whole = ask()
    wanted = whole["symbol"].unique()[:2].tolist()
    part = ask([*wanted, "ZZZZZZ"])
    key = list(TABLES[dataset].key)
    expected = whole[whole["symbol"].isin(wanted)].sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(part.sort_values(key).reset_index(drop=True), expected)


@pytest.mark.parametrize("dataset", BY_SYMBOL, indirect=True)
def test_unknown_symbols_have_no_rows(ask, dataset):
    nothing = ask(["ZZZZZZ"])
    assert nothing.empty
    assert list(nothing.columns) == list(TABLES[dataset].column_names)


def test_a_day_that_is_no_session_is_named(ask):
    saturday = date(2025, 6, 14)
    assert not krx_calendar().is_session(saturday)
    with pytest.raises(SourceError, match="2025-06-14"):
        ask(None, saturday)
