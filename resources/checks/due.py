"""Which sessions are to be checked, first or anew."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from resources.calendar import KrxCalendar
from resources.checks.context import loads, members_from
from resources.connections import Databases
from resources.databases import persistently
from resources.ledger import Commit, newest_commits
from resources.settings import MarketSettings
from resources.standing import moved_with_close
from resources.statements import statement
from resources.tables import Dataset


@dataclass(frozen=True)
class Due:
    """A session to be checked: its newest commit, and the run that made it."""

    session: date
    ledger_id: int
    run_id: str


@persistently
def due_sessions(
    databases: Databases,
    dataset: Dataset,
    calendar: KrxCalendar,
    settings: MarketSettings,
    now: datetime,
) -> list[Due]:
    """Sessions whose newest commit no check has seen; or that were checked before something was
    loaded that they lacked, or before the final time that provisional rows have passed. Oldest
    first. Raises ``DatabaseError``."""
    commits = newest_commits(databases.of(dataset), dataset)
    there = loads(databases.of(dataset), dataset, calendar.sessions[0], calendar.sessions[-1])
    with databases.timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("checks/checked"), (dataset.value,))
        checked = {
            (session, ledger_id): (datetime.fromisoformat(at), json.loads(lacking))
            for session, ledger_id, at, lacking in cursor.fetchall()
        }
    whole = _Whole(databases, dataset, calendar)
    due = []
    for session, commit in sorted(commits.items()):
        if session not in there:  # dropped since, or no session
            continue
        known = checked.get((session, commit.id))
        if known is None or _is_outdated(commit, *known, whole, calendar, settings, now):
            due.append(Due(session, commit.id, commit.run_id))
    return due


def _is_outdated(
    commit: Commit,
    at: datetime,
    lacking: Iterable[Mapping[str, Any]],
    whole: "_Whole",
    calendar: KrxCalendar,
    settings: MarketSettings,
    now: datetime,
) -> bool:
    if any(
        whole.has(Dataset(one["dataset"]), date.fromisoformat(one["session"])) for one in lacking
    ):
        return True
    if not commit.provisional:
        return False
    final = moved_with_close(calendar, commit.session, settings.final_time(Dataset.MINUTE_BARS))
    return at < final <= now


class _Whole:
    """What sessions are held against, as far as it is there; each dataset is asked for once."""

    def __init__(self, databases: Databases, dataset: Dataset, calendar: KrxCalendar) -> None:
        self._databases = databases
        self._dataset = dataset
        self._calendar = calendar
        self._loaded: dict[Dataset, set[date]] = {}

    def has(self, dataset: Dataset, session: date) -> bool:
        if dataset not in self._loaded:
            span = (self._calendar.sessions[0], self._calendar.sessions[-1])
            found = loads(self._databases.of(dataset), dataset, *span)
            self._loaded[dataset] = {day for day, load in found.items() if load.is_complete}
        # Members are also those of a session shortly before; but symbols themselves are held
        # against the very session before.
        if dataset is Dataset.SYMBOLS and self._dataset is not Dataset.SYMBOLS:
            return any(
                day in self._loaded[dataset] for day in members_from(self._calendar, session)
            )
        return session in self._loaded[dataset]
