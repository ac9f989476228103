"""What a session's loads refused, by the rules that the rows' reasons speak of."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from resources.checks.coverage import EXAMPLES
from resources.checks.rules import RULES
from resources.databases import TIMEOUTS, Database
from resources.statements import statement
from resources.tables import TABLES, Dataset
from resources.typed import TYPE_NAMES

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Cursor

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


@dataclass(frozen=True)
class Refused:
    """Rows that were refused for breaking one rule."""

    rows: int
    lost: int
    """Keys the table lacks, of rows refused as duplicates."""
    examples: list[Any]


def refused_by_rule(database: Database, dataset: Dataset, session: date) -> dict[str, Refused]:
    """What the committed loads of a session refused, by rule. Raises ``DatabaseError``."""
    about = (dataset.value, session)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("loading/limit_transaction"), TIMEOUTS)
        cursor.execute(statement("checks/refused"), about)
        by_rule: dict[str, list[tuple[str, int, list[Any]]]] = {}
        for reason, count, rows in cursor.fetchall():
            examples = [{"reason": reason, **row} for row in json.loads(rows)]
            for name in rules_of(dataset, reason):
                by_rule.setdefault(name, []).append((reason, count, examples))
        lost = _lost(cursor, about, [reason for reason, _, _ in by_rule.get("duplicates", [])])
    return {
        name: Refused(
            rows=sum(count for _, count, _ in parts),
            lost=lost if name == "duplicates" else 0,
            examples=[row for _, _, examples in parts for row in examples][:EXAMPLES],
        )
        for name, parts in by_rule.items()
    }


def _lost(cursor: "Cursor", about: tuple[str, date], reasons: list[str]) -> int:
    if not reasons:
        return 0
    cursor.execute(statement(f"checks/lost_{about[0]}"), (*about, reasons))
    return len(cursor.fetchall())
