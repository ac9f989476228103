"""Evaluating the rules of one session of one dataset.

Rows are judged where they are, in as few scans as there can be: ``sql/checks`` has one statement
per table. What the load refused is counted beside them, by the reasons it was refused for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from resources.aggregates import window
from resources.calendar import KrxCalendar
from resources.checks.context import (
    Load,
    loads,
    members,
    session_before,
)
from resources.checks.coverage import (
    EXAMPLES,
    Expected,
    Finding,
    not_judged,
    row_count,
    unknown_symbols,
)
from resources.checks.market import Member, hours_parameter, market_parameters
from resources.checks.refusals import Refused, refused_by_rule
from resources.checks.results import Result
from resources.checks.rules import RULES, Rule, Severity
from resources.connections import Connectable, Databases
from resources.databases import TIMEOUTS, persistently
from resources.settings import MarketSettings
from resources.standing import moved_with_close
from resources.statements import statement
from resources.tables import FLOW_MARKETS, Dataset

_REPEATED_FROM = 1_000
"""Shares: below it two sessions of a symbol are alike by chance (on KONEX, daily)."""


class NothingToCheckError(Exception):
    """The session has no committed load; the text says so."""


@persistently
def evaluate(
    databases: Databases,
    dataset: Dataset,
    session: date,
    *,
    calendar: KrxCalendar,
    settings: MarketSettings,
    now: datetime,
) -> list[Result]:
    """What every rule of ``dataset`` finds in the newest load of ``session``, in the order of
    ``RULES``. ``now`` has a zone. Raises ``NothingToCheckError`` and ``DatabaseError``.

    The load is looked up first: should another one come meanwhile, what is found is of no load that
    anybody asks about.
    """
    before = session_before(calendar, session) or session
    known = loads(databases.of(dataset), dataset, before, session)
    if session not in known:
        raise NothingToCheckError(f"{dataset} of {session} has no committed load")
    subject = _Subject(
        databases, dataset, known[session], known.get(before), before, calendar, settings, now
    )
    found = _FINDINGS[dataset](subject)
    refused = refused_by_rule(subject.database, dataset, session)
    return [_result(rule, subject, found.get(rule.name), refused) for rule in RULES[dataset]]


@dataclass(frozen=True)
class _Subject:
    databases: Databases
    dataset: Dataset
    load: Load
    load_before: Load | None
    before: date
    calendar: KrxCalendar
    settings: MarketSettings
    now: datetime

    @property
    def session(self) -> date:
        return self.load.session

    @property
    def database(self) -> Connectable:
        return self.databases.of(self.dataset)

    def loaded(self, dataset: Dataset, session: date) -> Load | None:
        """Another dataset's load, if all symbols were loaded and it is final."""
        load = loads(self.databases.of(dataset), dataset, session, session).get(session)
        return load if load and load.is_complete else None

    def column(self, name: str, session: date) -> frozenset[str]:
        """The only column of a statement about a session."""
        with self.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement(f"checks/{name}"), (session,))
            return frozenset(cursor.fetch_arrow_table()[0].to_pylist())


def _masters(subject: _Subject) -> dict[str, Finding]:
    """Who is there, held against the session before."""
    if not subject.load.whole:
        return {"row_count": not_judged("only named symbols were loaded")}
    if subject.load_before is None or not subject.load_before.whole:
        return {"row_count": _lacking(subject.dataset, subject.before)}
    there, before = (
        subject.column(f"symbols_{subject.dataset}", session)
        for session in (subject.session, subject.before)
    )
    return {"row_count": row_count(there, Expected(before=before))}


def _daily_bars(subject: _Subject) -> dict[str, Finding]:
    listed = members(subject.databases.application, subject.calendar, subject.session)
    has_before = subject.load_before is not None
    rows = _ask(
        subject.database,
        "checks/daily_bars",
        (
            subject.session,
            subject.before if has_before else None,
            *market_parameters(listed, subject.session, subject.calendar),
            _REPEATED_FROM,
        ),
    )
    found = _of_rows(rows)
    if not has_before:
        for name in ("price_limit", "stale_close"):
            found[name] = _lacking(Dataset.DAILY_BARS, subject.before)
    if listed is None:
        found["tick_size"] = found["price_limit"] = _lacking(Dataset.SYMBOLS, subject.session)
    return found | _coverage(subject, rows, listed)


def _minute_bars(subject: _Subject) -> dict[str, Finding]:
    listed = members(subject.databases.application, subject.calendar, subject.session)
    daily = subject.loaded(Dataset.DAILY_BARS, subject.session)
    daily_before = subject.loaded(Dataset.DAILY_BARS, subject.before)
    start, end = window(subject.session)
    rows = _ask(
        subject.database,
        "checks/minute_bars",
        (
            start.isoformat(),
            end.isoformat(),
            subject.session,
            subject.before if daily_before else None,
            *market_parameters(listed, subject.session, subject.calendar),
            hours_parameter(subject.session, subject.calendar),
        ),
    )
    found = _of_rows(rows)
    if daily_before is None:
        found["price_limit"] = _lacking(Dataset.DAILY_BARS, subject.before)
    if daily is None:
        lacking = _lacking(Dataset.DAILY_BARS, subject.session)
        found["minute_volume"] = found["price_limit"] = lacking
    if listed is None:
        found["tick_size"] = found["price_limit"] = _lacking(Dataset.SYMBOLS, subject.session)
    final = moved_with_close(
        subject.calendar, subject.session, subject.settings.final_time(subject.dataset)
    )
    late = subject.load.provisional and subject.now >= final
    count = subject.load.rows
    found["provisional"] = Finding(count, count if late else 0, not late)
    return found | _coverage(subject, rows, listed, has_daily=daily is not None)


def _supply_demand(subject: _Subject) -> dict[str, Finding]:
    listed = members(subject.databases.application, subject.calendar, subject.session)
    rows = _ask(subject.database, "checks/supply_demand", (subject.session,))
    return _of_rows(rows) | _coverage(subject, rows, listed)


def _market_flows(subject: _Subject) -> dict[str, Finding]:
    about = (subject.session, list(FLOW_MARKETS))
    return _of_rows(_ask(subject.database, "checks/market_flows", about))


def _etf_constituents(subject: _Subject) -> dict[str, Finding]:
    rows = _ask(subject.database, "checks/etf_constituents", (subject.session,))
    return _of_rows(rows) | _masters(subject)


_FINDINGS = {
    Dataset.SYMBOLS: _masters,
    Dataset.DAILY_BARS: _daily_bars,
    Dataset.MINUTE_BARS: _minute_bars,
    Dataset.SUPPLY_DEMAND: _supply_demand,
    Dataset.MARKET_FLOWS: _market_flows,
    Dataset.COMPANIES: _masters,
    Dataset.ETF_CONSTITUENTS: _etf_constituents,
}

_Rows = Mapping[str, tuple[int, int, list[Any]]]
"""By rule: checked, found, examples."""


def _ask(database: Connectable, name: str, parameters: tuple[object, ...]) -> _Rows:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("loading/limit_transaction"), TIMEOUTS)
        cursor.execute(statement(name), parameters)
        return {
            rule: (checked, found, json.loads(examples))
            for rule, checked, found, examples in cursor.fetchall()
        }


def _of_rows(rows: _Rows) -> dict[str, Finding]:
    return {
        rule: Finding(checked, found, not found, {"examples": examples} if examples else {})
        for rule, (checked, found, examples) in rows.items()
    }


def _coverage(
    subject: _Subject,
    rows: _Rows,
    listed: Mapping[str, Member] | None,
    *,
    has_daily: bool = False,
) -> dict[str, Finding]:
    bars, _, symbols = rows["symbols"]
    there = frozenset(symbols)
    if listed is None:
        found = {"unknown_symbols": _lacking(Dataset.SYMBOLS, subject.session)}
    else:
        found = {"unknown_symbols": unknown_symbols(there, listed)}
    if not subject.load.whole:
        return found | {"row_count": not_judged("only named symbols were loaded")}
    if subject.load.provisional:
        return found | {"row_count": not_judged("the session was not over when it was loaded")}
    before = subject.load_before
    if before is not None and not before.is_complete:
        before = None
    expected = Expected(
        members=listed,
        coverage=subject.settings.coverage(subject.dataset),
        traded=subject.column("traded_symbols", subject.session) if has_daily else None,
        # Of a million minute bars only the number is asked for.
        before=subject.column(f"symbols_{subject.dataset}", subject.before)
        if before and subject.dataset is not Dataset.MINUTE_BARS
        else None,
        bars_before=_a_minute(subject, before.session, before.rows)
        if before and subject.dataset is Dataset.MINUTE_BARS
        else None,
    )
    judged = row_count(there, expected, _a_minute(subject, subject.session, bars))
    lacks = [] if before else [(subject.dataset, subject.before)]
    lacks += [] if listed is not None else [(Dataset.SYMBOLS, subject.session)]
    for dataset, session in lacks:
        judged.details.update(_lacking(dataset, session, judged.details).details)
    return found | {"row_count": judged}


def _a_minute(subject: _Subject, session: date, bars: int) -> float:
    calendar = subject.calendar
    minutes = (calendar.closes_at(session) - calendar.opens_at(session)).total_seconds() / 60
    return bars / minutes


def _lacking(dataset: Dataset, session: date, details: Mapping[str, Any] | None = None) -> Finding:
    """Nothing to judge by yet: once ``dataset`` of ``session`` is loaded, there is."""
    said = (details or {}).get("lacking", [])
    lacking = [*said, {"dataset": dataset.value, "session": str(session)}]
    return Finding(0, 0, True, {"lacking": lacking})


def _result(
    rule: Rule, subject: _Subject, finding: Finding | None, by_rule: Mapping[str, Refused]
) -> Result:
    finding = finding or Finding(subject.load.rows, 0, True)
    severity, details = rule.severity, dict(finding.details)
    found, passed, checked = finding.found, finding.passed, finding.checked
    refused = by_rule.get(rule.name) if rule.row_rule else None
    if refused:
        details |= {"in_table": found, "refused": refused.rows}
        details["examples"] = [*details.get("examples", []), *refused.examples][:EXAMPLES]
        if rule.name == "duplicates":
            details["lost_keys"] = refused.lost
        if passed and not refused.lost:
            severity = Severity.WARNING
        found, checked, passed = found + refused.rows, checked + refused.rows, False
    return Result(rule.name, severity, passed, checked, found, subject.load.ledger_id, details)
