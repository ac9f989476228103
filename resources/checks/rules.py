"""The rules a loaded session must keep, by dataset.

A rule of severity ``error`` keeps a session that fails it out of what follows; a ``warning`` only
says. How a rule is evaluated is in ``sql/checks``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from resources.tables import Dataset


class Severity(StrEnum):
    """What a failed rule means for the session."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """One rule of one dataset."""

    name: str
    severity: Severity
    description: str
    row_rule: bool = False
    """Whether validation refuses rows that break it: then refused rows count as well."""


def _error(name: str, description: str, *, row_rule: bool = False) -> Rule:
    return Rule(name, Severity.ERROR, description, row_rule)


def _warning(name: str, description: str, *, row_rule: bool = False) -> Rule:
    return Rule(name, Severity.WARNING, description, row_rule)


_DUPLICATES = _error(
    "duplicates",
    "The source gave one row per key. Of identical rows one is kept, which is a warning; of rows "
    "that differ none can be trusted and the key is missing, which is an error.",
    row_rule=True,
)
_OHLC_ORDER = _error(
    "ohlc_order", "low ≤ open, close ≤ high; a halted symbol has none of them.", row_rule=True
)
_POSITIVE_PRICES = _error(
    "positive_prices",
    "Prices are above 0, below 10,000,000,000 KRW, and have two decimals at most; open, high and "
    "low of a halted symbol are 0.",
    row_rule=True,
)
_NON_NEGATIVE_VOLUME = _error(
    "non_negative_volume",
    "Volume, trading value, market cap and listed shares are not negative.",
    row_rule=True,
)
_REFUSED_ROWS = _warning(
    "refused_rows",
    "No row was refused for what no other rule speaks of: a value of another type, a missing one, "
    "a symbol that is none, another day's date, a time in the future.",
    row_rule=True,
)
_UNKNOWN_SYMBOLS = _error(
    "unknown_symbols",
    "Of the symbols, at most 1 % and 5 are not members of the session (asset symbols).",
)
_ROW_COUNT = _error(
    "row_count",
    "The session has as many symbols as its members and the session before let expect, halted "
    "ones included.",
)
_PRICE_LIMIT = _warning(
    "price_limit",
    "No price is further from the previous close than KRX allows (30 %; KONEX 15 %). Not judged: "
    "the first session of a listing, a changed number of listed shares, a symbol that did not "
    "trade in the session before, one about to be delisted, ETFs and ETNs.",
)
_TICK_SIZE = _warning(
    "tick_size", "Prices are whole multiples of the tick that KRX has for them on that day."
)
_VWAP = _warning(
    "vwap",
    "Trading value / volume lies between low and high. Block trades off the market's prices break "
    "it rightly.",
)

RULES: Mapping[Dataset, tuple[Rule, ...]] = {
    Dataset.SYMBOLS: (
        _DUPLICATES,
        _REFUSED_ROWS,
        _error("row_count", "At least 95 % of the members of the session before are members."),
    ),
    Dataset.DAILY_BARS: (
        _DUPLICATES,
        _OHLC_ORDER,
        _POSITIVE_PRICES,
        _NON_NEGATIVE_VOLUME,
        _REFUSED_ROWS,
        _UNKNOWN_SYMBOLS,
        _ROW_COUNT,
        _PRICE_LIMIT,
        _TICK_SIZE,
        _VWAP,
        _warning(
            "stale_close",
            "No symbol that traded repeats open, high, low, close and volume of the session "
            "before.",
        ),
    ),
    Dataset.MINUTE_BARS: (
        _DUPLICATES,
        _OHLC_ORDER,
        _POSITIVE_PRICES,
        _NON_NEGATIVE_VOLUME,
        _error(
            "session_hours",
            "Bars lie within the hours of their venue on that date: KRX its regular hours and the "
            "closing-auction bar, NXT 08:00 to 20:00.",
            row_rule=True,
        ),
        _REFUSED_ROWS,
        _UNKNOWN_SYMBOLS,
        _ROW_COUNT,
        _PRICE_LIMIT,
        _TICK_SIZE,
        _VWAP,
        _warning(
            "minute_volume",
            "No symbol's minutes at KRX add up to more than its volume in daily_bars, which holds "
            "off-hours and block trades too.",
        ),
        _warning("provisional", "Rows loaded during the session were loaded again after it."),
    ),
    Dataset.SUPPLY_DEMAND: (
        _DUPLICATES,
        _REFUSED_ROWS,
        _UNKNOWN_SYMBOLS,
        _ROW_COUNT,
        _error(
            "investor_sum",
            "Net buying of the four investor types sums to zero where all four were observed.",
        ),
        _warning("estimated_flows", "No amount was derived from net shares."),
    ),
    Dataset.MARKET_FLOWS: (
        _DUPLICATES,
        _REFUSED_ROWS,
        _error("row_count", "Both markets are there, KOSPI and KOSDAQ."),
        _error(
            "investor_sum",
            "Net buying of the four investor types sums to zero where all four were observed.",
            row_rule=True,
        ),
    ),
    Dataset.COMPANIES: (
        _DUPLICATES,
        _REFUSED_ROWS,
        _error("row_count", "At least 95 % of the companies of the session before are there."),
    ),
    Dataset.ETF_CONSTITUENTS: (
        _DUPLICATES,
        _REFUSED_ROWS,
        _error("row_count", "At least 95 % of the ETFs of the session before are there."),
        _warning(
            "weight_sum",
            "An ETF's weights sum to 100 % within 0.5 where all of them were given: each is "
            "rounded to 0.01.",
        ),
    ),
}
"""All of them; ``name`` is unique within a dataset."""


def rule(dataset: Dataset, name: str) -> Rule:
    """The rule of that name. Raises KeyError."""
    for one in RULES[dataset]:
        if one.name == name:
            return one
    raise KeyError(f"{dataset} has no rule {name}")
