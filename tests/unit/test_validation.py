import math
from datetime import date, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.canonical import canonical
from resources.tables import (
    COMPANIES,
    DAILY_BARS,
    ETF_CONSTITUENTS,
    MARKET_FLOWS,
    MINUTE_BARS,
    SUPPLY_DEMAND,
    SYMBOLS,
    TABLES,
    Table,
)
from resources.validation import ColumnsError, split
from tests.unit.good_rows import GOOD, KST, NOW, SESSION


def reasons(table: Table, **changes: object) -> list[str]:
    frame = pd.DataFrame([GOOD[table.dataset] | changes]).astype(object)
    judged = split(frame, table, SESSION, NOW)
    assert len(judged.good) + len(judged.refused) == 1
    assert len(judged.refused) == len(judged.reasons)
    return judged.reasons


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_good_rows_pass(table):
    assert reasons(table) == []


def test_a_market_with_a_type_that_was_not_observed_need_not_balance():
    assert reasons(MARKET_FLOWS, other_corporation_amount=None) == []


def test_a_halted_symbol_is_a_good_daily_bar():
    halted = {"open": 0, "high": 0, "low": 0, "volume": 0, "trading_value": 0}
    assert reasons(DAILY_BARS, **halted) == []
    assert reasons(DAILY_BARS, **halted | {"volume": 5}) != []
    assert reasons(DAILY_BARS, **halted | {"close": 0}) != []


def test_a_halted_symbol_without_a_volume_spoils_no_other_row():
    halted = {"open": 0, "high": 0, "low": 0, "volume": None, "trading_value": 0}
    rows = [halted, {"symbol": "000660", "low": 0}, {"symbol": "000020"}]
    frame = pd.DataFrame([GOOD["daily_bars"] | changes for changes in rows]).astype(object)
    judged = split(frame, DAILY_BARS, SESSION, NOW)
    assert judged.reasons == ["volume is missing", "a price is 0"]
    assert judged.good["symbol"].tolist() == ["000020"]


@pytest.mark.parametrize(
    ("table", "changes", "reason"),
    [
        (DAILY_BARS, {"symbol": "5930"}, "symbol is not 6 upper-case letters or digits"),
        (DAILY_BARS, {"symbol": "00593a"}, "symbol is not 6 upper-case letters or digits"),
        (DAILY_BARS, {"symbol": "005930\n"}, "symbol is not 6 upper-case letters or digits"),
        (DAILY_BARS, {"symbol": 5930}, "symbol is not text: 5930"),
        (DAILY_BARS, {"symbol": None}, "symbol is missing"),
        (DAILY_BARS, {"symbol": " "}, "symbol is missing"),
        (DAILY_BARS, {"date": date(2025, 1, 3)}, "date is not the session's"),
        (DAILY_BARS, {"date": "soon"}, "date is not a date: 'soon'"),
        (DAILY_BARS, {"date": datetime(2025, 1, 2, 9)}, "date is not a date: "),
        (DAILY_BARS, {"close": None}, "close is missing"),
        (DAILY_BARS, {"close": "53,4oo"}, "close is not a number: '53,4oo'"),
        (DAILY_BARS, {"close": "53_400"}, "close is not a number: '53_400'"),
        (DAILY_BARS, {"close": Decimal("sNaN")}, "close is not a number: Decimal('sNaN')"),
        (DAILY_BARS, {"close": math.inf}, "close is not a number: inf"),
        (DAILY_BARS, {"close": True}, "close is not a number: True"),
        (DAILY_BARS, {"close": 53400.005}, "close has more than two decimals"),
        (DAILY_BARS, {"close": -1}, "close is negative or too large"),
        (DAILY_BARS, {"high": 1e10}, "high is negative or too large"),
        (DAILY_BARS, {"high": 53000}, "open, high, low and close are not in order"),
        (DAILY_BARS, {"low": 53000}, "open, high, low and close are not in order"),
        (DAILY_BARS, {"low": 0}, "a price is 0"),
        (DAILY_BARS, {"open": 0, "high": 0, "low": 0, "volume": 5}, "a price is 0"),
        (DAILY_BARS, {"volume": -1}, "volume is negative"),
        (DAILY_BARS, {"volume": 1.5}, "volume is not a whole number: 1.5"),
        (DAILY_BARS, {"volume": 2.0**60}, "volume is not a whole number: "),
        (DAILY_BARS, {"volume": 2**64}, "volume is not a whole number: "),
        (DAILY_BARS, {"volume": 10**5000}, "volume is not a whole number: int that cannot"),
        (DAILY_BARS, {"volume": "1_000"}, "volume is not a whole number: '1_000'"),
        (DAILY_BARS, {"volume": "٣"}, "volume is not a whole number: '٣'"),
        (DAILY_BARS, {"volume": None}, "volume is missing"),
        (DAILY_BARS, {"trading_value": -1}, "trading_value is negative"),
        (DAILY_BARS, {"market_cap": -1}, "market_cap is negative"),
        (DAILY_BARS, {"listed_shares": -1}, "listed_shares is negative"),
        (MINUTE_BARS, {"time": datetime(2025, 1, 2, 10)}, "time is not a time with a zone: "),
        (
            MINUTE_BARS,
            {"time": datetime(2025, 1, 1, 23, 59, tzinfo=KST)},
            "time is not on the session's day in Asia/Seoul",
        ),
        (
            MINUTE_BARS,
            {"time": datetime(2025, 1, 2, 16, 1, tzinfo=KST)},
            "time is in the future",
        ),
        (
            MINUTE_BARS,
            {"time": datetime(2025, 1, 2, 10, 0, 1, tzinfo=KST)},
            "time is not the start of a minute",
        ),
        (MINUTE_BARS, {"venue": "NYSE"}, "venue is not one we know"),
        (MINUTE_BARS, {"volume": -1}, "volume is negative"),
        (MINUTE_BARS, {"trading_value": -1}, "trading_value is negative"),
        (
            MINUTE_BARS,
            {"open": 0, "high": 0, "low": 0, "volume": 0},
            "a price is 0",
        ),
        (
            SUPPLY_DEMAND,
            dict.fromkeys(SUPPLY_DEMAND.measures),
            "no investor type was observed",
        ),
        (SUPPLY_DEMAND, {"date": date(2025, 1, 3)}, "date is not the session's"),
        (SUPPLY_DEMAND, {"symbol": "5930"}, "symbol is not 6 upper-case letters or digits"),
        (SUPPLY_DEMAND, {"estimated": "no"}, "estimated is not true or false: 'no'"),
        (SUPPLY_DEMAND, {"estimated": None}, "estimated is missing"),
        (MARKET_FLOWS, {"market": "KONEX"}, "market is not KOSPI or KOSDAQ"),
        (MARKET_FLOWS, {"date": date(2025, 1, 3)}, "date is not the session's"),
        (
            MARKET_FLOWS,
            dict.fromkeys(MARKET_FLOWS.measures),
            "no investor type was observed",
        ),
        (MARKET_FLOWS, {"foreign_amount": 0}, "investor types do not sum to zero"),
        (
            # Which is zero in 64 bits.
            MARKET_FLOWS,
            dict.fromkeys(MARKET_FLOWS.measures, -(2**62)),
            "investor types do not sum to zero",
        ),
        (SYMBOLS, {"symbol": "0126z0"}, "symbol is not 6 upper-case letters or digits"),
        (SYMBOLS, {"name": None}, "name is missing"),
        (SYMBOLS, {"name": "삼성\0"}, "name is not text: "),
        (SYMBOLS, {"market": "NASDAQ"}, "market is not one we know"),
        (SYMBOLS, {"kind": "보통주"}, "kind is not one we know"),
        (SYMBOLS, {"listing_date": date(2025, 1, 3)}, "not listed yet on the session"),
        (SYMBOLS, {"delisting_date": SESSION}, "no longer listed on the session"),
        (COMPANIES, {"symbol": "5930"}, "symbol is not 6 upper-case letters or digits"),
        (COMPANIES, {"name": None}, "name is missing"),
        (COMPANIES, {"market": "NASDAQ"}, "market is not one we know"),
        (COMPANIES, {"listing_date": date(2025, 1, 3)}, "not listed yet on the session"),
        (COMPANIES, {"face_value": -1}, "face_value is negative or too large"),
        (COMPANIES, {"face_value": 0.125}, "face_value has more than two decimals"),
        (ETF_CONSTITUENTS, {"date": date(2025, 1, 3)}, "date is not the session's"),
        (ETF_CONSTITUENTS, {"symbol": None}, "symbol is missing"),
        (ETF_CONSTITUENTS, {"constituent": "KRD01"}, "constituent is no short code and no ISIN"),
        (ETF_CONSTITUENTS, {"name": "　"}, "name is missing"),
        (ETF_CONSTITUENTS, {"shares": 1e13}, "shares is too large"),
        (ETF_CONSTITUENTS, {"shares": 0.125}, "shares has more than two decimals"),
        (ETF_CONSTITUENTS, {"weight": -1e5}, "weight is too large"),
        (ETF_CONSTITUENTS, {"weight": 0.125}, "weight has more than two decimals"),
        (
            ETF_CONSTITUENTS,
            {"value": None, "weight": None},
            "shares, value and weight are all missing",
        ),
    ],
)
def test_each_rule_refuses_its_row(table, changes, reason):
    (text,) = reasons(table, **changes)
    assert any(part.startswith(reason) for part in text.split("; "))


def test_several_reasons_are_all_told():
    (text,) = reasons(DAILY_BARS, volume=-1, symbol="x")
    assert set(text.split("; ")) == {
        "symbol is not 6 upper-case letters or digits",
        "volume is negative",
    }


class TestDuplicates:
    row = GOOD["daily_bars"]

    def good(self, *rows: dict[str, object]) -> list[int]:
        judged = split(pd.DataFrame(list(rows)), DAILY_BARS, SESSION, NOW)
        assert set(judged.reasons) <= {"duplicate of (symbol, date)"}
        return judged.good.index.tolist()

    def test_one_of_identical_rows_is_kept(self):
        assert self.good(self.row, self.row | {"symbol": "000660"}, self.row) == [0, 1]

    def test_none_of_conflicting_rows_is_kept(self):
        assert self.good(self.row, self.row | {"volume": 1}, self.row | {"symbol": "000660"}) == [2]
        assert self.good(self.row, self.row, self.row | {"volume": 1}) == []

    def test_nulls_compare_as_equal(self):
        row = self.row | {"market_cap": None}
        assert self.good(row, row) == [0]


def test_text_and_decimals_are_numbers_too():
    changes = {"close": "53400.50", "volume": "16630538", "open": Decimal("52700.25")}
    frame = pd.DataFrame([GOOD["daily_bars"] | changes])
    row = canonical(split(frame, DAILY_BARS, SESSION, NOW).good, DAILY_BARS).to_pylist()[0]
    assert (row["close"], row["volume"]) == (Decimal("53400.50"), 16630538)
    assert row["open"] == Decimal("52700.25")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"volume": "vol"}, "missing: volume; unknown or repeated: vol"),
        ({"volume": "close"}, "missing: volume; unknown or repeated: close"),
        ({"volume": "a\0\nb"}, r"missing: volume; unknown or repeated: 'a\x00\nb'"),
        ({"volume": 7}, "missing: volume; unknown or repeated: 7"),
    ],
)
def test_wrong_columns_are_named(columns, said):
    frame = pd.DataFrame([GOOD["daily_bars"]]).rename(columns=columns)
    with pytest.raises(ColumnsError) as error:
        split(frame, DAILY_BARS, SESSION, NOW)
    assert str(error.value) == f"daily_bars: the source's columns are not the table's; {said}"


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_columns_may_be_of_nullable_types(table, backend):
    nulls = {column.name: None for column in table.columns if column.nullable}
    frame = pd.DataFrame([GOOD[table.dataset], GOOD[table.dataset] | nulls])
    frame["symbol" if table.by_symbol else "market"] = (
        ["005930", "000660"] if table.by_symbol else ["KOSPI", "KOSDAQ"]
    )
    if table in (SUPPLY_DEMAND, MARKET_FLOWS):
        frame.loc[1, "foreign_amount"] = 7
    if table is ETF_CONSTITUENTS:
        frame.loc[1, "value"] = 7
    judged = split(frame.convert_dtypes(dtype_backend=backend), table, SESSION, NOW)
    assert judged.reasons == []
    expected = canonical(split(frame, table, SESSION, NOW).good, table)
    assert canonical(judged.good, table).equals(expected)


def test_times_that_python_has_no_object_for_are_refused():
    late = pa.array([2**58], pa.timestamp("us", "UTC"))
    frame = pd.DataFrame([GOOD["minute_bars"]]).assign(
        time=pd.Series(late, dtype=pd.ArrowDtype(late.type))
    )
    (reason,) = split(frame, MINUTE_BARS, SESSION, NOW).reasons
    assert reason.startswith("time is not a time with a zone: '")


cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(KST)),
    st.binary(),
    st.lists(st.integers(), max_size=2),
)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_no_row_is_ever_lost_or_invented(table, data):
    """Whatever a source returns, every row is either good, and then loadable, or refused."""
    good = GOOD[table.dataset]
    row = st.fixed_dictionaries({name: st.just(good[name]) | cells for name in table.column_names})
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    frame = pd.DataFrame(rows, columns=list(table.column_names))
    judged = split(frame, table, SESSION, NOW)
    assert len(judged.good) + len(judged.refused) == len(frame)
    assert not set(judged.good.index) & set(judged.refused.index)
    assert len(judged.reasons) == len(judged.refused)
    assert all(judged.reasons)
    assert canonical(judged.good, table).num_rows == len(judged.good)


def test_every_bad_row_has_its_own_reasons():
    """Several rules, several texts, and rows that break none."""
    rows = pd.DataFrame([GOOD["daily_bars"]] * 6)
    rows["symbol"] = [f"00000{n}" for n in range(6)]
    rows = rows.astype(object)
    rows.loc[1, "volume"] = -1
    rows.loc[2, ["volume", "close"]] = [-1, 1]
    rows.loc[3, ["volume", "close"]] = ["?", "!"]
    rows.loc[4, "close"] = None
    judged = split(rows, DAILY_BARS, SESSION, NOW)
    assert judged.good["symbol"].tolist() == ["000000", "000005"]
    assert judged.refused.index.tolist() == [1, 2, 3, 4]
    assert judged.reasons == [
        "volume is negative",
        "volume is negative; open, high, low and close are not in order",
        "close is not a number: '!'; volume is not a whole number: '?'",
        "close is missing",
    ]
