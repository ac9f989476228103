"""Frames as no source should give them: any cell, any type of column, any columns, any index."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import assume
from hypothesis import strategies as st

from resources.calendar import SEOUL
from resources.tables import TABLES, Dataset, Kind

SESSION = date(2025, 1, 2)
NOW = datetime(2025, 1, 2, 18, tzinfo=SEOUL)

MARKERS = {
    Dataset.SYMBOLS: "name",
    Dataset.DAILY_BARS: "listed_shares",
    Dataset.MINUTE_BARS: "trading_value",
    Dataset.SUPPLY_DEMAND: "other_corporation_amount",
    Dataset.MARKET_FLOWS: "other_corporation_amount",
    Dataset.COMPANIES: "products",
    Dataset.ETF_CONSTITUENTS: "value",
}
"""A column of each dataset that any value may stand in, by which a row can be told again."""

_SYMBOLS = st.sampled_from([f"00000{place}" for place in "0123456789ABCDEF"])
_PRICES: dict[str, st.SearchStrategy[Any]] = {
    "open": st.sampled_from([100, 100.5, "100", Decimal("100.05")]),
    "high": st.sampled_from([120, 120.55, "120.5", Decimal(120)]),
    "low": st.sampled_from([90, 90.05, "90", Decimal("90.5")]),
    "close": st.sampled_from([110, 110.07, " 110 ", Decimal("110.1")]),
}
_AMOUNT = st.one_of(st.integers(-(2**63), 2**63 - 1), st.none(), st.just("12"), st.just(7.0))
_COUNT = st.one_of(st.integers(0, 2**63 - 1), st.just("12"), st.just(7.0))
_MINUTES = st.integers(0, 390).map(
    lambda minute: datetime(2025, 1, 2, 9, tzinfo=SEOUL) + timedelta(minutes=minute)
)
GOOD: dict[str, st.SearchStrategy[Any]] = {
    **_PRICES,
    "date": st.just(SESSION),
    "time": _MINUTES,
    "symbol": _SYMBOLS,
    "venue": st.sampled_from(["KRX", "NXT"]),
    "name": st.sampled_from(["삼성전자", "SK하이닉스"]),
    "market": st.sampled_from(["KOSPI", "KOSDAQ"]),
    "kind": st.sampled_from(["common", "etf", None]),
    "listing_date": st.sampled_from([date(1975, 6, 11), SESSION, None]),
    "delisting_date": st.sampled_from([date(2025, 1, 3), None]),
    "volume": _COUNT,
    "trading_value": _COUNT,
    "market_cap": _COUNT,
    "listed_shares": _COUNT,
    "institution_amount": _AMOUNT,
    "foreign_amount": _AMOUNT,
    "individual_amount": _AMOUNT,
    "other_corporation_amount": _AMOUNT,
    "estimated": st.booleans(),
    "sector": st.sampled_from(["벤처기업부", None]),
    "industry": st.sampled_from(["기타 금융업", None]),
    "products": st.sampled_from(["반도체", "선박"]),
    "region": st.sampled_from(["서울특별시", None]),
    "homepage": st.sampled_from(["http://www.example", None]),
    "face_value": st.sampled_from([0.5, "500", Decimal(5_000), None]),
    "constituent": st.one_of(_SYMBOLS, st.just("KRD010010001")),
    "shares": st.sampled_from([8_140.0, "3.5", Decimal("12.25"), None]),
    "value": _AMOUNT,
    "weight": st.sampled_from([31.74, "0.01", -12.5, None]),
}

_ODD = [
    *(None, math.nan, math.inf, -math.inf, pd.NaT, pd.NA, np.nan, "", " ", "NaN", "NaT", "<NA>"),
    *(2**53, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**400, 10**5_000, -(10**140_000)),
    *(1e308, -0.0, 5e-324, 0.005, 1e-7, 1e10, 9_999_999_999.995, 2.5, np.float32(110.07)),
    *("\0", "a\0b", "\ud800", "0x10", "1_000", "1e400", "1e5", "-5", "٣", "005930\n", "00593０"),
    *(b"", b"\0\xff", True, False, np.True_, np.int8(-1), np.uint64(2**64 - 1), 1 + 2j),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e-999999"), Decimal("1e30")),
    *(Fraction(1, 3), Fraction(10**400, 3), np.longdouble("1e4000"), object, ..., range(3)),
    *(date.min, date.max, date(2025, 1, 3), time(9), timedelta(days=1), datetime.min, datetime.max),
    *(datetime(2025, 1, 2), datetime(2025, 1, 2, 9), datetime(2025, 1, 2, tzinfo=UTC)),
    datetime(2025, 1, 2, 9, 0, 30, tzinfo=SEOUL),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=9))),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))),
    pd.Timestamp.min.tz_localize("UTC"),
    pd.Timestamp.max.tz_localize("UTC"),
    pd.Timestamp("2025-01-02 00:01", tz="UTC") + pd.Timedelta(1, "ns"),
    pd.Timestamp("2025-01-02"),
    np.datetime64("2025-01-02"),
    np.datetime64("2025-01-02T09:00:00.000000001"),
    np.datetime64("NaT"),
    pd.Period("2025-01", "M"),
    [],
    [None],
    ["\0", {"\ud800": math.nan}],
    {},
    {"open": [1, {"b": b"\0"}]},
    (1, 2),
    {1},
    [10**5_000],
    np.array([1.0, math.nan]),
    np.array(5),
]
_CELLS = st.one_of(
    st.sampled_from(_ODD),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=8),
    st.binary(max_size=4),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.decimals(),
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    ),
)


@dataclass(frozen=True)
class Given:
    """What a frame is made of; unlike a frame it can always be shown."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    types: Sequence[str]
    """How each column is made, of ``_TYPES``."""
    labels: Sequence[object]
    """What the columns are called in the end."""
    index: str
    marked: bool = False
    """Whether each row's number stands in its ``MARKERS`` column."""

    def frame(self) -> pd.DataFrame:
        columns = [
            _made(kind, pd.Series([row[place] for row in self.rows], dtype=object))
            for place, kind in enumerate(self.types)
        ]
        frame = pd.DataFrame(dict(enumerate(columns)), index=range(len(self.rows)))
        frame.index = _INDEXES[self.index](len(frame))
        levels = any(isinstance(label, tuple) for label in self.labels)
        frame.columns = pd.Index(list(self.labels), dtype=object, tupleize_cols=levels)
        return frame


_TYPES: dict[str, Callable[["pd.Series[Any]"], "pd.Series[Any]"]] = {
    "object": lambda cells: cells,
    "as pandas sees them": lambda cells: pd.Series(cells.tolist()),
    "nullable": lambda cells: cells.convert_dtypes(),
    "pyarrow": lambda cells: cells.convert_dtypes(dtype_backend="pyarrow"),
    "category": lambda cells: cells.astype("category"),
    "float64": lambda cells: cells.astype("float64"),
    "text": lambda cells: cells.astype("str"),
    "instants": lambda cells: pd.to_datetime(cells, utc=True),
    "datetimes": lambda cells: cells.astype("datetime64[ns]"),
}
_INDEXES: dict[str, Callable[[int], pd.Index]] = {
    "plain": pd.RangeIndex,
    "the same in every row": lambda size: pd.Index([7] * size),
    "text": lambda size: pd.Index([f"row {number}" for number in reversed(range(size))]),
    "levels": lambda size: pd.MultiIndex.from_arrays([range(size), range(size)]),
}


def _made(kind: str, cells: "pd.Series[Any]") -> "pd.Series[Any]":
    try:
        return _TYPES[kind](cells)
    except Exception:
        # What cannot be of that type stays as it is.
        return cells


@st.composite
def _rows(draw: st.DrawFn, dataset: Dataset) -> list[dict[str, Any]]:
    """Mostly good rows; in some of them cells that may be anything, some of them twice."""
    names = TABLES[dataset].column_names
    found: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 8))):
        if found and draw(st.integers(0, 3)) == 0:
            row = dict(draw(st.sampled_from(found)))
        else:
            row = {name: draw(GOOD[name]) for name in names}
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            row[name] = draw(_CELLS)
        found.append(row)
    return found


@st.composite
def tables(draw: st.DrawFn, dataset: Dataset) -> Given:
    """The table's columns in any order, of any types; any rows."""
    rows = draw(_rows(dataset))
    if marked := draw(st.booleans()):
        marker = MARKERS[dataset]
        is_text = TABLES[dataset].column(marker).kind is Kind.TEXT
        for number, row in enumerate(rows):
            row[marker] = str(number) if is_text else number
    names = draw(st.permutations(TABLES[dataset].column_names))
    types = draw(st.lists(st.sampled_from([*_TYPES]), min_size=len(names), max_size=len(names)))
    if marked:
        types[names.index(MARKERS[dataset])] = "object"
    return Given(
        columns=names,
        rows=[[row[name] for name in names] for row in rows],
        types=types,
        labels=names,
        index=draw(st.sampled_from([*_INDEXES])),
        marked=marked,
    )


@st.composite
def other_tables(draw: st.DrawFn, dataset: Dataset) -> Given:
    """Columns that are not the table's: some are missing, renamed, repeated or too many."""
    given = draw(tables(dataset))
    some = st.lists(st.sampled_from(given.columns), unique=True)
    kept = draw(st.just(given.columns) | some)
    places = [given.columns.index(name) for name in kept]
    labels: list[object] = [*kept]
    label = st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=5),
        st.sampled_from([None, 0, math.nan, SESSION, "\0", "\ud800", *given.columns]),
        st.tuples(st.sampled_from(given.columns), st.text(max_size=2)),
    )
    for _ in range(draw(st.integers(0, 2))):
        places.append(draw(st.sampled_from(range(len(given.columns)))))
        labels.append(draw(label))
    assume(sorted(map(str, labels)) != sorted(given.columns))
    return Given(
        columns=[given.columns[place] for place in places],
        rows=[[row[place] for place in places] for row in given.rows],
        types=[given.types[place] for place in places],
        labels=labels,
        index=given.index,
    )
