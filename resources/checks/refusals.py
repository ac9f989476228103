"""Which rules a refused row speaks of: the reasons that validation gave, told apart."""

import re
from collections.abc import Mapping

from resources.checks.rules import RULES
from resources.tables import TABLES, Dataset
from resources.validation import TYPE_NAMES

REST = "refused_rows"
"""The rule for every reason that no other rule speaks of."""

_PRICES = ("open", "high", "low", "close")
_RULE_OF: Mapping[str, str] = {
    "open, high, low and close are not in order": "ohlc_order",
    "time is not on the session's day in Asia/Seoul": "session_hours",
    **{f"{name} is negative or too large": "positive_prices" for name in _PRICES},
    **{f"{name} has more than two decimals": "positive_prices" for name in _PRICES},
    "a price is 0": "positive_prices",
    "investor types do not sum to zero": "investor_sum",
    **{
        f"{name} is negative": "non_negative_volume"
        for name in ("volume", "trading_value", "market_cap", "listed_shares")
    },
    **{
        f"duplicate of ({', '.join(table.key)}){where}": "duplicates"
        for table in TABLES.values()
        for where in ("", " in the table")
    },
}
# A row with a cell of another type is judged by nothing else, and its reason quotes the cell.
_OF_TYPES = re.compile(rf"\w+ is not ({'|'.join(map(re.escape, TYPE_NAMES.values()))}): ")


def rules_of(dataset: Dataset, reason: str) -> frozenset[str]:
    """The names of the rules that a refused row's reasons are about; at least one."""
    if _OF_TYPES.match(reason):
        return frozenset([REST])
    known = {rule.name for rule in RULES[dataset]}
    named = (_RULE_OF.get(part, REST) for part in reason.split("; "))
    return frozenset(name if name in known else REST for name in named)
