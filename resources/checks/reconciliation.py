"""Reconciliation: two tables that must say the same of a session, held against each other.

A result speaks of the newest loads of all its sides: ``outdated`` finds the sessions where one of
them was loaded since, whichever came last and whatever happened in between. What is compared, and
within which bounds, is in ``comparisons``.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from resources.aggregates import DAILY_CANDLES
from resources.checks import comparisons
from resources.checks.comparisons import Comparison, Sides
from resources.checks.results import Result, keep_results
from resources.checks.rules import Rule, Severity
from resources.connections import Databases
from resources.databases import persistently
from resources.ledger import newest_commits
from resources.statements import statement
from resources.tables import Dataset

Loads = Mapping[tuple[str, date], int]
"""The id of the newest committed load by asset and session; of candles that of the minute bars they
are made of."""


@dataclass(frozen=True)
class Reconciliation:
    """A rule of ``asset``, which compares its session with that of the assets ``against``."""

    asset: str
    rule: Rule
    against: tuple[Dataset, ...]
    compare: Callable[[Sides, date], Comparison]

    @property
    def sides(self) -> tuple[str, ...]:
        return (self.asset, *(side.value for side in self.against))


def _warning(name: str, description: str) -> Rule:
    # Each compares two sources: which of them is wrong cannot be told, so that neither is blocked.
    return Rule(name, Severity.WARNING, description)


RECONCILIATIONS = (
    Reconciliation(
        Dataset.SYMBOLS.value,
        _warning(
            "seen_in_bars",
            "Every member has a daily bar, and every daily bar a member. Members of a kind of "
            "which no symbol has one (such as ETFs, where a source has shares) are counted apart.",
        ),
        (Dataset.DAILY_BARS,),
        comparisons.members_and_bars,
    ),
    Reconciliation(
        Dataset.SUPPLY_DEMAND.value,
        _warning(
            "members_have_flows",
            "Every member has a row. Not evaluated where the source gives fewer than half of them.",
        ),
        (Dataset.SYMBOLS,),
        comparisons.members_and_flows,
    ),
    Reconciliation(
        Dataset.MINUTE_BARS.value,
        _warning(
            "no_silent_minutes",
            "Every symbol with volume in daily_bars has minute bars, and in every minute of the "
            "session something traded. Symbols are not judged where fewer than half have bars; "
            "where few symbols trade, only ten silent minutes and more in a row are missing.",
        ),
        (Dataset.DAILY_BARS,),
        comparisons.minutes_and_bars,
    ),
    Reconciliation(
        DAILY_CANDLES.name,
        _warning(
            "equals_daily_bars",
            "A candle has the open, high, low and close of its daily bar, no more volume, and at "
            f"least {comparisons.VOLUME_SHARE:.0%} of it.",
        ),
        (Dataset.DAILY_BARS,),
        comparisons.candles_and_bars,
    ),
    Reconciliation(
        Dataset.MARKET_FLOWS.value,
        _warning(
            "sum_of_symbols",
            "A market's net buying is the sum over its symbols in supply_demand (ETFs and ETNs "
            f"apart), within {comparisons.FLOW_TOLERANCE:.1%} of what they bought or sold. Not "
            f"evaluated where fewer than {comparisons.FLOW_COVERAGE:.0%} of the market's members "
            "have flows, or where flows are estimated.",
        ),
        (Dataset.SUPPLY_DEMAND, Dataset.SYMBOLS),
        comparisons.market_and_symbol_flows,
    ),
)


@persistently
def newest_loads(databases: Databases) -> Loads:
    """What each side's session was loaded by. Raises ``DatabaseError``."""
    with databases.timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("reconciliation/newest_loads"))
        rows = cursor.fetchall()
        cursor.execute(statement("reconciliation/newest_refreshes"), (DAILY_CANDLES.name,))
        rows += cursor.fetchall()
    loads = {(asset, session): id for asset, session, id in rows}
    for session, commit in newest_commits(databases.of(Dataset.SYMBOLS), Dataset.SYMBOLS).items():
        loads[Dataset.SYMBOLS.value, session] = commit.id
    return loads


@persistently
def outdated(databases: Databases, loads: Loads) -> list[tuple[Reconciliation, date]]:
    """What is to be compared (again): all sides are there, and were never compared as they are
    now. Newest sessions first. Raises ``DatabaseError``."""
    rules = [one.rule.name for one in RECONCILIATIONS]
    with databases.timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("reconciliation/known_results"), (rules,))
        known = {
            (asset, rule, session): (id, json.loads(against))
            for asset, rule, session, id, against in cursor.fetchall()
        }
    return [
        (one, session)
        for session in sorted({session for _, session in loads}, reverse=True)
        for one in RECONCILIATIONS
        if not _missing(one, session, loads)
        and known.get((one.asset, one.rule.name, session)) != _state(one, session, loads)
    ]


def reconcile(
    databases: Databases,
    loads: Loads,
    what: Iterable[tuple[Reconciliation, date]],
    run_id: str,
) -> Iterator[tuple[Reconciliation, date, Result]]:
    """Compare and keep what was found, session by session. Where a side is missing the result says
    so and passes; where the asset itself is, there is none. Raises ``DatabaseError``."""
    sides = Sides(databases)
    for one, session in what:
        if (one.asset, session) not in loads:
            continue
        missing = _missing(one, session, loads)
        compared = (
            Comparison.impossible(f"{' and '.join(missing)} of the session is not there")
            if missing
            else persistently(one.compare)(sides, session)
        )
        id, against = _state(one, session, loads)
        result = Result(
            rule=one.rule.name,
            severity=one.rule.severity,
            passed=compared.found == 0,
            checked=compared.checked,
            found=compared.found,
            ledger_id=id,
            details={**compared.details, "against": against},
        )
        # First whoever asked makes it known: dying in between, the session is compared again.
        yield one, session, result
        persistently(keep_results)(databases.timescaledb, one.asset, session, [result], run_id)


def _missing(one: Reconciliation, session: date, loads: Loads) -> list[str]:
    return [side for side in one.sides if (side, session) not in loads]


def _state(one: Reconciliation, session: date, loads: Loads) -> tuple[int, dict[str, int | None]]:
    """What a result is about: the load of the asset, and those of the other sides."""
    against = {side.value: loads.get((side.value, session)) for side in one.against}
    return loads[one.asset, session], against
