"""Rules that several tables keep: of a symbol, a price, a quantity, of rows with one key.

Each is a pandera check whose ``error`` is the reason the quarantine shows; which table keeps which
is in ``schemas``.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pandera.backends.pandas.builtin_checks  # noqa: F401 - pandera waits for a validation of its own
import pandera.pandas as pa

from resources.tables import SYMBOL_PATTERN, Table
from resources.typed import Mask

MAX_PRICE = 10**10
"""numeric(12,2) ends below it."""

Numbers = np.ndarray[Any, np.dtype[np.float64 | np.int64]]

_OHLC = ("open", "high", "low", "close")


def symbol() -> pa.Check:
    return pa.Check(
        lambda symbol: symbol.str.fullmatch(SYMBOL_PATTERN),
        error="symbol is not 6 upper-case letters or digits",
    )


def of_session(session: date) -> pa.Check:
    return pa.Check.eq(pd.Timestamp(session), error="date is not the session's")


def price(name: str) -> list[pa.Check]:
    return [
        _numbers(
            lambda price: (price >= 0) & (price < MAX_PRICE), f"{name} is negative or too large"
        ),
        _hundredths(name),
    ]


def within(name: str, limit: int) -> list[pa.Check]:
    return [
        # A leveraged or hedged ETF owes some of what it holds: below zero is right.
        _numbers(lambda number: np.abs(number) < limit, f"{name} is too large"),
        _hundredths(name),
    ]


def _hundredths(name: str) -> pa.Check:
    def exact(number: Numbers) -> Mask:
        hundredths = number * 100
        # Prices arrive as binary floats: a hundredth is exact to far below a millionth.
        near: Mask = np.abs(hundredths.round() - hundredths) < 1e-4
        return near

    return _numbers(exact, f"{name} has more than two decimals")


def _numbers(rule: Callable[[Numbers], Mask], error: str) -> pa.Check:
    """A rule about a column of numbers, as an array: with most operations pandas takes longer to
    begin than for the rows of a session."""
    return pa.Check(lambda cells: pd.Series(rule(cells.to_numpy()), index=cells.index), error=error)


def not_negative(name: str) -> pa.Check:
    return _numbers(lambda number: number >= 0, f"{name} is negative")


def one_row_per_key(table: Table) -> pa.Check:
    def first_of_identical(rows: pd.DataFrame) -> pd.Series:
        # Of rows that agree in everything one is kept; where they differ, none can be trusted.
        conflicting = rows.duplicated(list(table.key), keep=False)
        if not conflicting.any():
            return ~conflicting
        suspects = rows[conflicting]
        identical = suspects.groupby(list(table.key), dropna=False)[table.key[0]].transform(
            "size"
        ) == suspects.groupby(list(table.column_names), dropna=False)[table.key[0]].transform(
            "size"
        )
        good = ~conflicting
        good.loc[suspects.index] = identical & ~suspects.duplicated(keep="first")
        return good

    return pa.Check(first_of_identical, error=f"duplicate of ({', '.join(table.key)})")


def _prices(rows: pd.DataFrame) -> list[Numbers]:
    return [rows[name].to_numpy() for name in _OHLC]


def ohlc_order() -> pa.Check:
    def ordered(rows: pd.DataFrame) -> pd.Series:
        first, high, low, last = _prices(rows)
        good = (low <= first) & (low <= last) & (high >= first) & (high >= last)
        # A price that is null, 0 or negative is refused for that, not for its order.
        positive = (first > 0) & (high > 0) & (low > 0) & (last > 0)
        return pd.Series(good | ~positive, index=rows.index)

    return pa.Check(ordered, error="open, high, low and close are not in order")


def no_price_is_0(*, halts: bool) -> pa.Check:
    def priced(rows: pd.DataFrame) -> pd.Series:
        first, high, low, last = _prices(rows)
        good = (first != 0) & (high != 0) & (low != 0) & (last != 0)
        if halts:
            # KRX reports a halted symbol so: no prices of the day, no volume, the last close.
            halted = (first == 0) & (high == 0) & (low == 0) & (last != 0)
            good |= halted & (rows["volume"].to_numpy(dtype="int64", na_value=0) == 0)
        return pd.Series(good, index=rows.index)

    return pa.Check(priced, error="a price is 0")


def some_measure(table: Table, error: str = "no investor type was observed") -> pa.Check:
    return pa.Check(lambda rows: rows[list(table.measures)].notna().any(axis=1), error=error)
