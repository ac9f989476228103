"""Gaps: what is missing or broken right now, session by session, across all tables.

Read from the ledgers, the calendar, what the checks found, and one count over the tables whose
rows have a date. Nothing is repaired here; each finding names the assets that repair it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from resources.aggregates import DAILY_CANDLES
from resources.calendar import KrxCalendar, krx_calendar
from resources.checks.reconciliation import RECONCILIATIONS
from resources.connections import Connectable, Databases
from resources.databases import TimescaleMaintainer, persistently
from resources.refresh import stale_sessions
from resources.settings import MarketSettings
from resources.standing import Standing, standing
from resources.statements import composed, statement
from resources.tables import TABLES, Dataset


class Gap(StrEnum):
    """What a session may lack, the worst first."""

    MISSING_SESSION = "missing session"
    BLOCKED_SESSION = "blocked session"
    LOST_ROWS = "rows lost or added"
    FAILED_ATTEMPT = "newer attempt failed"
    PARTIAL_SESSION = "loaded for some symbols only"
    PROVISIONAL = "provisional past its final time"
    STALE_CANDLES = "stale candles"
    MISSING_SYMBOLS = "missing symbols"
    MISSING_MINUTES = "missing minutes"
    FAILED_WARNING = "failed warning"


_BY_RULE = {
    "members_have_flows": Gap.MISSING_SYMBOLS,
    "no_silent_minutes": Gap.MISSING_MINUTES,
}
assert {one.rule.name for one in RECONCILIATIONS} >= {*_BY_RULE, "seen_in_bars"}  # noqa: S101


@dataclass(frozen=True)
class Finding:
    """One gap of one session. ``found`` counts what the gap is about: rows, symbols, minutes or
    results; ``reason`` is the same for sessions that lack the same, ``said`` is this session's."""

    gap: Gap
    asset: str
    session: date
    repair: tuple[str, ...]
    """The assets to materialise."""
    found: int = 1
    reason: str = ""
    said: str = ""


@dataclass(frozen=True)
class _Loaded:
    committed: int | None
    dropped: bool
    whole: bool
    provisional: bool
    error: str | None


_Ledger = Mapping[tuple[str, date], _Loaded]


def find_gaps(
    databases: Databases,
    maintainer: TimescaleMaintainer,
    settings: MarketSettings,
    now: datetime,
) -> list[Finding]:
    """All of them, of final sessions from each dataset's first one on that retention keeps.
    Raises ``DatabaseError``."""
    timescaledb = databases.timescaledb
    ledger = {**_ledger(timescaledb), **_ledger(databases.application)}
    due = {dataset: due_sessions(dataset, settings, krx_calendar(), now) for dataset in Dataset}
    findings = [
        finding
        for dataset, sessions in due.items()
        for session in sessions
        for finding in _of_session(dataset, session, ledger.get((dataset.value, session)))
    ]
    findings += _failed_results(timescaledb, ledger)
    findings += _stale_candles(maintainer)
    for dataset in (Dataset.DAILY_BARS, Dataset.SUPPLY_DEMAND, Dataset.MARKET_FLOWS):
        findings += _lost_rows(timescaledb, dataset, ledger)
    judged = {dataset.value: set(sessions) for dataset, sessions in due.items()}
    candles = judged[Dataset.MINUTE_BARS.value]
    return [one for one in findings if one.session in judged.get(one.asset, candles)]


def due_sessions(
    dataset: Dataset, settings: MarketSettings, calendar: KrxCalendar, now: datetime
) -> list[date]:
    """The sessions a dataset should have: final ones from its first session on, as far back as
    retention keeps them."""
    first = settings.first_session(dataset, now.date())
    table = TABLES[dataset]
    if table.database == "timescaledb" and (kept := settings.retention(table.name)):
        first = max(first, now.date() - timedelta(days=kept))
    final = settings.final_time(dataset)
    return [
        session
        for session in calendar.sessions
        if first <= session <= now.date()
        and standing(calendar, session, final, now) is Standing.FINAL
    ]


def _of_session(dataset: Dataset, session: date, loaded: _Loaded | None) -> Iterator[Finding]:
    def finding(gap: Gap, said: str = "") -> Finding:
        return Finding(gap, dataset.value, session, (dataset.value,), said=said)

    if loaded is None or loaded.committed is None:
        yield finding(Gap.MISSING_SESSION, (loaded and loaded.error) or "never tried")
    elif not loaded.dropped:
        if loaded.error:
            yield finding(Gap.FAILED_ATTEMPT, loaded.error)
        if not loaded.whole:
            yield finding(Gap.PARTIAL_SESSION)
        if loaded.provisional:
            yield finding(Gap.PROVISIONAL)


@persistently
def _ledger(database: Connectable) -> _Ledger:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("gaps/ledger"))
        # By columns: tens of thousands of rows, one by one, take half a second.
        columns = cursor.fetch_arrow_table().columns
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return {(asset, session): _Loaded(*rest) for asset, session, *rest in rows}


@persistently
def _failed_results(timescaledb: Connectable, ledger: _Ledger) -> list[Finding]:
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("gaps/failed_results"))
        rows = cursor.fetch_arrow_table().to_pylist()
    findings: list[Finding] = []
    for row in rows:
        # Candles are checked for the load of minute bars that they are made of.
        candles = row["asset"] == DAILY_CANDLES.name
        loaded_as = Dataset.MINUTE_BARS.value if candles else row["asset"]
        loaded = ledger.get((loaded_as, row["session"]))
        if loaded is not None and loaded.committed == row["ledger_id"] and not loaded.dropped:
            findings += _of_result(row, loaded_as)
    return findings


def _of_result(row: Mapping[str, Any], repair: str) -> Iterator[Finding]:
    asset, session, rule, found = (row[name] for name in ("asset", "session", "rule", "found"))
    if row["severity"] == "error":
        yield Finding(Gap.BLOCKED_SESSION, asset, session, (repair,), found, rule)
    elif rule == "seen_in_bars":
        bars = Dataset.DAILY_BARS.value
        if missing := row["members_without_bar"]:
            yield Finding(Gap.MISSING_SYMBOLS, bars, session, (bars,), missing, rule)
        if unknown := row["bars_without_member"]:
            yield Finding(Gap.MISSING_SYMBOLS, asset, session, (repair,), unknown, rule)
    else:
        gap = _BY_RULE.get(rule, Gap.FAILED_WARNING)
        yield Finding(gap, asset, session, (repair,), found, rule)


def _stale_candles(maintainer: TimescaleMaintainer) -> Iterator[Finding]:
    for stale in stale_sessions(maintainer):
        # Those of a blocked session are left out on purpose: it is the session that is broken.
        if not stale.dropped and not stale.blocked_by:
            names = ", ".join(stale.aggregates)
            yield Finding(
                Gap.STALE_CANDLES,
                Dataset.MINUTE_BARS.value,
                stale.session,
                stale.aggregates,
                len(stale.aggregates),
                names,
            )


@persistently
def _lost_rows(timescaledb: Connectable, dataset: Dataset, ledger: _Ledger) -> list[Finding]:
    from psycopg.sql import Identifier

    query = composed("gaps/lost_rows", table=Identifier(TABLES[dataset].name)).as_string()
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(query, (dataset.value,))
        rows = cursor.fetchall()
    return [
        Finding(
            Gap.LOST_ROWS,
            dataset.value,
            session,
            (dataset.value,),
            abs(there - loaded),
            said=f"{there:,} rows are there, {loaded:,} were loaded",
        )
        for session, loaded, there in rows
        if (known := ledger.get((dataset.value, session))) is None or not known.dropped
    ]
