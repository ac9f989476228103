"""What a session's rows are held against: its loads, its members, and the session before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from resources.calendar import KrxCalendar
from resources.checks.market import Member
from resources.connections import Connectable
from resources.statements import statement
from resources.tables import Dataset

_MEMBERS_LAST = 10
"""Sessions: members of an older one say too little about who is listed now."""


@dataclass(frozen=True)
class Load:
    """What the ledger says a session of a dataset holds."""

    session: date
    ledger_id: int
    """Of the newest commit."""
    rows: int
    provisional: bool
    whole: bool
    """Whether all symbols were ever loaded, and not only named ones."""

    @property
    def is_complete(self) -> bool:
        """Whether another session may be held against it."""
        return self.whole and not self.provisional


def loads(database: Connectable, dataset: Dataset, first: date, last: date) -> dict[date, Load]:
    """The sessions from ``first`` to ``last`` that have a commit. Raises ``DatabaseError``."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("checks/loads"), (dataset.value, first, last))
        rows = cursor.fetch_arrow_table().to_pylist()
    return {row["session"]: Load(**row) for row in rows}


def session_before(calendar: KrxCalendar, session: date) -> date | None:
    """The KRX session before a session; None where the calendar begins."""
    place = calendar.sessions.index(session)
    return calendar.sessions[place - 1] if place else None


def members(
    application: Connectable, calendar: KrxCalendar, session: date
) -> Mapping[str, Member] | None:
    """The members of a session, by symbol; None where neither it nor any of the ten sessions
    before was loaded as a whole. Raises ``DatabaseError``."""
    span = members_from(calendar, session)
    found = loads(application, Dataset.SYMBOLS, span[0], span[-1])
    if not any(load.whole for load in found.values()):
        return None
    with application.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("checks/members"), (session,))
        # By columns: fetchall takes each value by itself.
        columns = [column.to_pylist() for column in cursor.fetch_arrow_table().columns]
    return {row[0]: Member(*row) for row in zip(*columns, strict=True)}


def members_from(calendar: KrxCalendar, session: date) -> Sequence[date]:
    """The sessions of which one must be loaded for a session's members to be known."""
    place = calendar.sessions.index(session)
    return calendar.sessions[max(0, place - _MEMBERS_LAST) : place + 1]
