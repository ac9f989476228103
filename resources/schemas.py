"""The rules a row must keep to be loaded: pandera's columns and checks of each table.

A rule speaks of one row, or of rows with one key; what needs the rest of the session or other
tables is an asset check. Columns arrive typed (``validation`` has refused what could not be), so
no rule states a type; ``tables`` does. A rule's ``error`` is the reason the quarantine shows; those
that tables share are in ``constraints``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd
import pandera.pandas as pa

from resources.calendar import SEOUL
from resources.constraints import (
    no_price_is_0,
    not_negative,
    of_session,
    ohlc_order,
    one_row_per_key,
    price,
    some_measure,
    symbol,
    within,
)
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

MARKETS = ("KOSPI", "KOSDAQ", "KONEX")
VENUES = ("KRX", "NXT")
KINDS = ("common", "preferred", "etf", "etn", "reit", "fund", "depositary")
MAX_QUANTITY = 10**13
"""Up to it a float64 holds hundredths exactly."""
MAX_PERCENT = 10**5
"""numeric(7,2) ends below it."""
CONSTITUENT_PATTERN = f"{SYMBOL_PATTERN}|[A-Z]{{2}}[0-9A-Z]{{10}}"


@dataclass(frozen=True)
class Rules:
    """What ``pandera.DataFrameSchema`` takes, which would copy all of it for every session."""

    columns: Mapping[str, pa.Column]
    """Each column's rules, and whether it may have nulls."""
    checks: Sequence[pa.Check]
    """Rules about whole rows."""


def _columns(table: Table, rules: dict[str, pa.Check | list[pa.Check]]) -> dict[str, pa.Column]:
    return {
        column.name: pa.Column(
            checks=price(column.name) if column.kind is Kind.PRICE else rules.get(column.name),
            nullable=column.nullable,
        )
        for column in table.columns
    }


def _symbols(session: date, now: datetime) -> Rules:
    day = pd.Timestamp(session)
    return Rules(
        _columns(
            SYMBOLS,
            {
                "symbol": symbol(),
                "name": pa.Check.str_matches(r"\S", error="name is blank"),
                "market": pa.Check.isin(MARKETS, error="market is not one we know"),
                "kind": pa.Check.isin(KINDS, error="kind is not one we know"),
                "listing_date": pa.Check.le(day, error="not listed yet on the session"),
                "delisting_date": pa.Check.gt(day, error="no longer listed on the session"),
            },
        ),
        checks=[one_row_per_key(SYMBOLS)],
    )


def _daily_bars(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            DAILY_BARS,
            {
                "date": of_session(session),
                "symbol": symbol(),
                "volume": not_negative("volume"),
                "trading_value": not_negative("trading_value"),
                "market_cap": not_negative("market_cap"),
                "listed_shares": not_negative("listed_shares"),
            },
        ),
        checks=[one_row_per_key(DAILY_BARS), ohlc_order(), no_price_is_0(halts=True)],
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
                "symbol": symbol(),
                "venue": pa.Check.isin(VENUES, error="venue is not one we know"),
                "volume": not_negative("volume"),
                "trading_value": not_negative("trading_value"),
            },
        ),
        checks=[one_row_per_key(MINUTE_BARS), ohlc_order(), no_price_is_0(halts=False)],
    )


def _supply_demand(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            SUPPLY_DEMAND,
            {
                "date": of_session(session),
                "symbol": symbol(),
            },
        ),
        checks=[one_row_per_key(SUPPLY_DEMAND), some_measure(SUPPLY_DEMAND)],
    )


def _market_flows(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            MARKET_FLOWS,
            {
                "date": of_session(session),
                "market": pa.Check.isin(FLOW_MARKETS, error="market is not KOSPI or KOSDAQ"),
            },
        ),
        checks=[
            one_row_per_key(MARKET_FLOWS),
            some_measure(MARKET_FLOWS),
            pa.Check(_investors_balance, error="investor types do not sum to zero"),
        ],
    )


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
                "symbol": symbol(),
                "name": pa.Check.str_matches(r"\S", error="name is blank"),
                "market": pa.Check.isin(MARKETS, error="market is not one we know"),
                "listing_date": pa.Check.le(day, error="not listed yet on the session"),
            },
        ),
        checks=[one_row_per_key(COMPANIES)],
    )


def _etf_constituents(session: date, now: datetime) -> Rules:
    return Rules(
        _columns(
            ETF_CONSTITUENTS,
            {
                "date": of_session(session),
                "symbol": symbol(),
                "constituent": pa.Check(
                    lambda code: code.str.fullmatch(CONSTITUENT_PATTERN),
                    error="constituent is no short code and no ISIN",
                ),
                "name": pa.Check.str_matches(r"\S", error="name is blank"),
                "shares": within("shares", MAX_QUANTITY),
                "weight": within("weight", MAX_PERCENT),
            },
        ),
        checks=[
            one_row_per_key(ETF_CONSTITUENTS),
            some_measure(ETF_CONSTITUENTS, "shares, value and weight are all missing"),
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
