"""What cells mean: numbers, units, names, and amounts made of shares."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.sources.cells import counts
from resources.sources.mapping import DailyBars
from resources.tables import DAILY_BARS, SUPPLY_DEMAND, SYMBOLS
from resources.validation import split
from tests.unit.files_source.vendor import DAILY, DAILY_HEADER, FLOWS, MON, Source, Write


def one_column(write: Write, source: Source, cells: list[str], extra: str = "") -> pd.Series:
    """Trading values as the source gives them."""
    rows = [f'2025-11-10,{n:06d},1,2,1,2,3,"{cell}"' for n, cell in enumerate(cells)]
    write("daily/a.csv", DAILY_HEADER + ",A", *rows)
    mapping = DAILY.replace('"V" }', '"V", trading_value = "A" }') + extra
    return source(mapping).daily_bars(MON, None)["trading_value"]


def test_counts_are_exact_beside_nulls(write: Write, source: Source) -> None:
    values = one_column(write, source, ["9007199254740993", "", "12345678.0", " 7 ", "+8", "-9."])
    assert values.dtype == "Int64"
    assert values[0] == 9007199254740993 and values[1] is pd.NA
    assert values[2:].tolist() == [12345678, 7, 8, -9]


@pytest.mark.parametrize(
    "cell", ["12a", "0x10", "1.5", "1,000", "--", "nan", "inf", "9223372036854775808", "1e99999999"]
)
def test_a_garbled_count_is_passed_on_as_it_came(write: Write, source: Source, cell: str) -> None:
    values = one_column(write, source, ["5", cell, "", "12345678.0", "1e5"])
    assert values.dtype == object
    assert values[0] == 5 and values[1] == cell and pd.isna(values[2])
    assert values[3] == 12345678 and values[4] == 100000


BARE = DailyBars.model_validate(
    {
        "name": "vendor",
        "glob": "{session:%Y%m%d}.csv",
        "columns": {
            "symbol": "S",
            "open": "O",
            "high": "H",
            "low": "L",
            "close": "C",
            "volume": "V",
        },
    }
)
NUMBERS = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats().map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)


@given(st.lists(NUMBERS), st.sampled_from([1, 1_000_000]))
def test_a_count_is_exact_or_passed_on_and_nothing_else(texts: list[str], factor: int) -> None:
    column = pa.chunked_array([texts], pa.string())
    got = counts(column, BARE, factor)
    garbled = [None] * len(texts) if got.garbled is None else got.garbled.to_pylist()
    for said, value, kept in zip(texts, got.values.to_pylist(), garbled, strict=True):
        try:
            exact = Decimal(said.strip()).normalize().scaleb(6 if factor > 1 else 0)
        except InvalidOperation:
            exact = Decimal("NaN")
        if value is not None:
            assert kept is None and value == exact
        elif said.strip():
            assert kept == said
        if exact.is_finite() and abs(exact) < 2**63 and exact == int(exact) and said.isascii():
            assert value == exact or "_" in said


def test_a_garbled_cell_keeps_its_blanks(write: Write, source: Source) -> None:
    assert one_column(write, source, [" 12 a "])[0] == " 12 a "


def test_thousands_and_missing(write: Write, source: Source) -> None:
    extra = 'thousands = ","\nmissing = ["-", ""]'
    values = one_column(write, source, ["1,234,567", "-", "12", "-1,000.0"], extra)
    assert values.dtype == "Int64" and values.isna().tolist() == [False, True, False, False]
    assert values.dropna().tolist() == [1234567, 12, -1000]
    # Only whole groups of three are a number.
    assert one_column(write, source, ["12,34", "1,234"], extra).tolist() == ["12,34", 1234]


@pytest.mark.parametrize(
    ("unit", "cells", "expected"),
    [
        ("million KRW", ["5", "-2.5", "0.000001"], [5_000_000, -2_500_000, 1]),
        ("thousand KRW", ["1.001", "7.0", "0"], [1_001, 7_000, 0]),
        ("100 million KRW", ["90071992.54740993", "1", "2"], [9007199254740993, 10**8, 2 * 10**8]),
        (
            "million KRW",
            ["0.0000001", "9223372036855", "3"],
            ["0.0000001", "9223372036855", 3000000],
        ),
    ],
)
def test_units(
    write: Write, source: Source, unit: str, cells: list[str], expected: list[object]
) -> None:
    extra = f'units.trading_value = "{unit}"'
    assert one_column(write, source, cells, extra).tolist() == expected


def test_share_units(write: Write, source: Source) -> None:
    write("daily/a.csv", DAILY_HEADER, "2025-11-10,005930,1,2,1,2,1.234")
    frame = source(DAILY + 'units.volume = "thousand shares"').daily_bars(MON, None)
    assert frame["volume"].tolist() == [1234]


@pytest.mark.parametrize("cell", ["12x", "1e400", "inf"])
def test_a_garbled_price_is_passed_on(write: Write, source: Source, cell: str) -> None:
    write(
        "daily/a.csv",
        DAILY_HEADER,
        f"2025-11-10,005930,{cell},2,1,2,3",
        "2025-11-10,000660,53400.0,,1,2,3",
    )
    frame = source(DAILY).daily_bars(MON, None)
    assert frame["open"].tolist() == [cell, 53400]
    assert frame["high"].dtype == "float64" and frame["high"].isna().tolist() == [False, True]


def test_values_keep_and_constants(write: Write, source: Source) -> None:
    write(
        "members/20251110.csv",
        "Code,Name,Market,Group",
        "005930,삼성전자 ,STK,주권",
        "247540,에코프로비엠,KOSDAQ GLOBAL,주권",
        '123456,"두\n줄",KONEX,외국주권',
        "K0000001,권리,STK,신주인수권",
    )
    mapping = """
[[symbols]]
name = "members"
glob = "members/{session:%Y%m%d}.csv"
columns = { symbol = "Code", name = "Name", market = "Market" }
constants = { kind = "common", listing_date = 2001-02-03 }
values.market = { "KOSDAQ GLOBAL" = "KOSDAQ", STK = "KOSPI" }
keep = { Group = ["주권", "외국주권"] }
"""
    frame = source(mapping).symbols(MON, None)
    assert tuple(frame.columns) == SYMBOLS.column_names
    assert frame["symbol"].tolist() == ["005930", "247540", "123456"]
    assert frame["name"].tolist() == ["삼성전자", "에코프로비엠", "두\n줄"]
    assert frame["market"].tolist() == ["KOSPI", "KOSDAQ", "KONEX"]
    assert set(frame["kind"]) == {"common"} and set(frame["listing_date"]) == {date(2001, 2, 3)}
    assert frame["delisting_date"].isna().all()


@pytest.mark.parametrize("codes", [[5930, 660], [5930.0, 660.0], ["005930", "000660"]])
def test_symbols_are_text_with_their_zeros(source: Source, codes: Any, parquet: Write) -> None:
    day = pd.to_datetime(["2025-11-10", "2025-11-10"])
    parquet("daily/a.parquet", Date=day, Code=codes, O=1, H=2.5, L=1, C=2, V=[3, 4])
    frame = source(DAILY.replace(".csv", ".parquet")).daily_bars(MON, ["005930", "000660"])
    assert frame["symbol"].tolist() == ["005930", "000660"]


def test_floats_of_parquet_that_are_no_counts(source: Source, parquet: Write) -> None:
    parquet(
        "daily/a.parquet",
        Date=[MON] * 3,
        Code=["a", "b", "c"],
        O=[1.5, np.inf, np.nan],
        H=1,
        L=1,
        C=[True, False, True],
        V=[3.0, 1.5, np.nan],
    )
    frame = source(DAILY.replace(".csv", ".parquet")).daily_bars(MON, None)
    assert frame["volume"].tolist()[:2] == [3, "1.5"] and pd.isna(frame["volume"][2])
    assert frame["open"].tolist()[:2] == [1.5, "inf"] and pd.isna(frame["open"][2])
    assert frame["close"].tolist() == ["True", "False", "True"]


def flows(write: Write, source: Source, *rows: str) -> pd.DataFrame:
    write("flows.csv", "Date,Code,I,F,C", *(f"2025-11-10,{row}" for row in rows))
    return source(FLOWS).supply_demand(MON, None)


def test_shares_times_price_is_exact_and_estimated(write: Write, source: Source) -> None:
    frame = flows(
        write,
        source,
        "005930,-3,250000001.0,2500.5",
        "000660,3,,2500.5",
        "000001,90071992547,1,100000.01",
    )
    assert tuple(frame.columns) == SUPPLY_DEMAND.column_names
    # Halves go away from zero.
    assert frame["institution_amount"].tolist() == [-7502, 7502, 9007200155419925]
    assert frame["foreign_amount"][0] == 625125002501 and frame["foreign_amount"][1] is pd.NA
    assert frame["individual_amount"].isna().all()
    assert frame["estimated"].dtype == bool and frame["estimated"].all()


@pytest.mark.parametrize(
    ("shares", "price", "said"),
    [
        ("3", "x", "3 × x"),
        ("3.5", "100", "3.5 × 100"),
        ("x", "", "x × "),
        ("9000000000000000000", "999999999", "9000000000000000000 × 999999999"),
        ("3", "99999999999999", "3 × 9.9999999999999e+13"),
    ],
)
def test_what_cannot_be_multiplied_is_no_number(
    write: Write, source: Source, shares: str, price: str, said: str
) -> None:
    frame = flows(write, source, f"005930,{shares},,{price}", "000660,2,3,10")
    assert frame["institution_amount"].tolist() == [said, 20]
    assert pd.isna(frame["foreign_amount"][0]) and frame["foreign_amount"][1] == 30


def test_a_blank_price_or_blank_shares_are_not_observed(write: Write, source: Source) -> None:
    frame = flows(write, source, "005930,3,4,", "000660,,,10", "000001,,2,x")
    assert frame["institution_amount"].isna().all()
    assert frame["foreign_amount"].isna().tolist() == [True, True, False]


def test_amounts_in_krw_are_not_estimated_unless_said(write: Write, source: Source) -> None:
    write("flows.csv", "Date,Code,I,F,C", "2025-11-10,005930,3,-4,10")
    krw = FLOWS.split("units")[0]
    frame = source(krw).supply_demand(MON, None)
    assert frame["foreign_amount"].tolist() == [-4] and not frame["estimated"].any()
    frame = source(krw + "constants = { estimated = true }").supply_demand(MON, None)
    assert frame["estimated"].tolist() == [True]


def test_a_flag_of_the_vendor(write: Write, source: Source) -> None:
    rows = [f"2025-11-10,{n:06d},1,2,{flag}" for n, flag in enumerate(["Y", "false", "0", "maybe"])]
    write("flows.csv", "Date,Code,I,F,C", *rows)
    mapping = FLOWS.split("units")[0].replace('"F" }', '"F", estimated = "C" }')
    got = source(mapping).supply_demand(MON, None)["estimated"].tolist()
    assert got == [True, False, False, "maybe"]


def test_validation_refuses_the_garbled_rows_and_keeps_the_others(
    write: Write, source: Source
) -> None:
    write(
        "daily/a.csv",
        DAILY_HEADER,
        "2025-11-10,005930,10,20,10,20,1e5",
        "2025-11-10,000660,1O,20,10,20,300",
        "2025-11-10,000001,10,20,10,20,1.5",
        "2025-11-10,000002,10,20,10,,7",
    )
    frame = source(DAILY).daily_bars(MON, None)
    judged = split(frame, DAILY_BARS, MON, datetime(2025, 11, 11, tzinfo=UTC))
    assert judged.good["symbol"].tolist() == ["005930"]
    assert judged.good["volume"].tolist() == [100_000]
    assert judged.refused["open"].tolist() == ["1O", 10, 10]
    assert ["1O" in judged.reasons[0], "1.5" in judged.reasons[1]] == [True, True]
    assert "close" in judged.reasons[2]
