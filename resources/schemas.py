"""The rules a row must keep to be loaded: pandera's columns and checks of each table.

A rule speaks of one row, or of rows with one key; what needs the rest of the session or other
tables is an asset check. Columns arrive typed (``validation`` has refused what could not be), so
no rule states a type; ``tables`` does. A rule's ``error`` is the reason the quarantine shows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pandera.backends.pandas.builtin_checks  # noqa: F401 - pandera waits for a validation of its own
import pandera.pandas as pa

from resources.calendar import SEOUL
from resources.tables import (
    COMPANIES,
    DAILY_BARS,
    ETF_CONSTITUENTS,
    FLOW_MARKETS,
    MARKET_FLOWS,
    MINUTE_BARS,
    SUPPLY_DEMAND,
    SYMBOL_PATTERN,
    SYMBOLS,
    Dataset,
    Kind,
    Table,
)
from resources.typed import Mask

MARKETS = ("KOSPI", "KOSDAQ", "KONEX")
VENUES = ("KRX", "NXT")
KINDS = ("common", "preferred", "etf", "etn", "reit", "fund", "depositary")
MAX_PRICE = 10**10
"""numeric(12,2) ends below it."""
MAX_QUANTITY = 10**13
"""Up to it a float64 holds hundredths exactly."""
MAX_PERCENT = 10**5
"""numeric(7,2) ends below it."""
CONSTITUENT_PATTERN = f"{SYMBOL_PATTERN}|[A-Z]{{2}}[0-9A-Z]{{10}}"

Numbers = np.ndarray[Any, np.dtype[np.float64 | np.int64]]

_OHLC = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Rules:
    """What ``pandera.DataFrameSchema`` takes, which would copy all of it for every session."""

    columns: Mapping[str, pa.Column]
    """Each column's rules, and whether it may have nulls."""
    checks: Sequence[pa.Check]
    """Rules about whole rows."""


def _symbol() -> pa.Check:
    return pa.Check(
        lambda symbol: symbol.str.fullmatch(SYMBOL_PATTERN),
        error="symbol is not 6 upper-case letters or digits",
    )


def _price(name: str) -> list[pa.Check]:
    return [
        _numbers(
            lambda price: (price >= 0) & (price < MAX_PRICE), f"{name} is negative or too large"
        ),
        _hundredths(name),
    ]


def _within(name: str, limit: int) -> list[pa.Check]:
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


def _not_negative(name: str) -> pa.Check:
    return _numbers(lambda number: number >= 0, f"{name} is negative")


def _columns(table: Table, rules: dict[str, pa.Check | list[pa.Check]]) -> dict[str, pa.Column]:
    return {
        column.name: pa.Column(
            checks=_price(column.name) if column.kind is Kind.PRICE else rules.get(column.name),
            nullable=column.nullable,
        )
        for column in table.columns
    }


def _one_row_per_key(table: Table) -> pa.Check:
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


def _ohlc_order() -> pa.Check:
    def ordered(rows: pd.DataFrame) -> pd.Series:
        first, high, low, last = _prices(rows)
        good = (low <= first) & (low <= last) & (high >= first) & (high >= last)
        # A price that is null, 0 or negative is refused for that, not for its order.
        positive = (first > 0) & (high > 0) & (low > 0) & (last > 0)
        return pd.Series(good | ~positive, index=rows.index)

    return pa.Check(ordered, error="open, high, low and close are not in order")


def _no_price_is_0(*, halts: bool) -> pa.Check:
    def priced(rows: pd.DataFrame) -> pd.Series:
        first, high, low, last = _prices(rows)
        good = (first != 0) & (high != 0) & (low != 0) & (last != 0)
        if halts:
            # KRX reports a halted symbol so: no prices of the day, no volume, the last close.
            halted = (first == 0) & (high == 0) & (low == 0) & (last != 0)
            good |= halted & (rows["volume"].to_numpy(dtype="int64", na_value=0) == 0)
        return pd.Series(good, index=rows.index)

    return pa.Check(priced, error="a price is 0")


def _symbols(session: date, now: datetime) -> Rules:
    day = pd.Timestamp(session)
    return Rules(
        _columns(
            SYMBOLS,
            {
                "symbol": _symbol(),
                "name": pa.Check.str_matches(r"\S", error="name is blank"),
                "market": pa.Check.isin(MARKETS, error="market is not one we know"),
                "kind": pa.Check.isin(KINDS, error="kind is not one we know"),
                "listing_date": pa.Check.le(day, error="not listed yet on the session"),
                "delisting_date": pa.Check.gt(day, error="no longer listed on the session"),
            },
        ),
        checks=[_one_row_per_key(SYMBOLS)],
    )


def _daily_bars(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            DAILY_BARS,
            {
                "date": pa.Check.eq(pd.Timestamp(session), error="date is not the session's"),
                "symbol": _symbol(),
                "volume": _not_negative("volume"),
                "trading_value": _not_negative("trading_value"),
                "market_cap": _not_negative("market_cap"),
                "listed_shares": _not_negative("listed_shares"),
            },
        ),
        checks=[_one_row_per_key(DAILY_BARS), _ohlc_order(), _no_price_is_0(halts=True)],
    )


def _minute_bars(session: date, now: datetime) -> Rules:
    midnight = pd.Timestamp(session, tz=SEOUL)
    next_midnight = midnight + timedelta(days=1)
    return Rules(
        _columns(
            MINUTE_BARS,
            {
                "time": [
                    pa.Check(
                        lambda time: (time >= midnight) & (time < next_midnight),
                        error="time is not on the session's day in Asia/Seoul",
                    ),
                    pa.Check.le(pd.Timestamp(now), error="time is in the future"),
                    pa.Check(
                        lambda time: time == time.dt.floor("min"),
                        error="time is not the start of a minute",
                    ),
                ],
                "symbol": _symbol(),
                "venue": pa.Check.isin(VENUES, error="venue is not one we know"),
                "volume": _not_negative("volume"),
                "trading_value": _not_negative("trading_value"),
            },
        ),
        checks=[_one_row_per_key(MINUTE_BARS), _ohlc_order(), _no_price_is_0(halts=False)],
    )


def _supply_demand(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            SUPPLY_DEMAND,
            {
                "date": pa.Check.eq(pd.Timestamp(session), error="date is not the session's"),
                "symbol": _symbol(),
            },
        ),
        checks=[_one_row_per_key(SUPPLY_DEMAND), _some_measure(SUPPLY_DEMAND)],
    )


def _market_flows(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            MARKET_FLOWS,
            {
                "date": pa.Check.eq(pd.Timestamp(session), error="date is not the session's"),
                "market": pa.Check.isin(FLOW_MARKETS, error="market is not KOSPI or KOSDAQ"),
            },
        ),
        checks=[
            _one_row_per_key(MARKET_FLOWS),
            _some_measure(MARKET_FLOWS),
            pa.Check(_investors_balance, error="investor types do not sum to zero"),
        ],
    )


def _some_measure(table: Table, error: str = "no investor type was observed") -> pa.Check:
    return pa.Check(lambda rows: rows[list(table.measures)].notna().any(axis=1), error=error)


def _investors_balance(rows: pd.DataFrame) -> pd.Series:
    """What one buys another sells; nothing can be said where a type was not observed."""
    amounts = rows[list(MARKET_FLOWS.measures)]
    # As Python's integers: a sum of bigints may be none.
    balanced = amounts.fillna(0).astype(object).sum(axis=1) == 0
    return balanced | amounts.isna().any(axis=1)


def _companies(session: date, now: datetime) -> Rules:
    day = pd.Timestamp(session)
    return Rules(
        _columns(
            COMPANIES,
            {
                "symbol": _symbol(),
                "name": pa.Check.str_matches(r"\S", error="name is blank"),
                "market": pa.Check.isin(MARKETS, error="market is not one we know"),
                "listing_date": pa.Check.le(day, error="not listed yet on the session"),
            },
        ),
        checks=[_one_row_per_key(COMPANIES)],
    )


def _etf_constituents(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            ETF_CONSTITUENTS,
            {
                "date": pa.Check.eq(pd.Timestamp(session), error="date is not the session's"),
                "symbol": _symbol(),
                "constituent": pa.Check(
                    lambda code: code.str.fullmatch(CONSTITUENT_PATTERN),
                    error="constituent is no short code and no ISIN",
                ),
                "name": pa.Check.str_matches(r"\S", error="name is blank"),
                "shares": _within("shares", MAX_QUANTITY),
                "weight": _within("weight", MAX_PERCENT),
            },
        ),
        checks=[
            _one_row_per_key(ETF_CONSTITUENTS),
            _some_measure(ETF_CONSTITUENTS, "shares, value and weight are all missing"),
        ],
    )


_RULES: dict[Dataset, Callable[[date, datetime], Rules]] = {
    Dataset.SYMBOLS: _symbols,
    Dataset.DAILY_BARS: _daily_bars,
    Dataset.MINUTE_BARS: _minute_bars,
    Dataset.SUPPLY_DEMAND: _supply_demand,
    Dataset.MARKET_FLOWS: _market_flows,
    Dataset.COMPANIES: _companies,
    Dataset.ETF_CONSTITUENTS: _etf_constituents,
}


def rules(dataset: Dataset, session: date, now: datetime) -> Rules:
    """The rules of one session's rows of ``dataset``; ``now`` (with a zone) is when no row may
    lie after."""
    return _RULES[dataset](session, now)
