"""Refreshing one session of an aggregate, and which sessions need it.

A refresh rewrites the session's whole day in Seoul and nothing else: an unbounded one would delete
what retention has dropped from the source. For the same reason it refuses a session whose source
has lost rows. What a refresh covers is written down after it (``record_refresh``), so whatever
happens in between leaves the session stale, and it is refreshed again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from resources.aggregates import AGGREGATES, Aggregate, window
from resources.databases import DatabaseError, TimescaleMaintainer, persistently
from resources.deployment import require_deployed
from resources.edition import Edition, Server
from resources.statements import composed, statement

if TYPE_CHECKING:
    import psycopg


class RefreshError(DatabaseError):
    """The session was not refreshed and is as it was; the text says why."""


class NothingToRefreshError(Exception):
    """What the aggregate reads was never filled for the session; the text says so."""


class BlockedError(NothingToRefreshError):
    """The session's newest minute bars fail a rule of severity error; the text names the rules."""


class UncheckedError(NothingToRefreshError):
    """No check has seen the session's newest minute bars."""


@dataclass(frozen=True)
class Refreshed:
    """A session that was refreshed: from which load, how many rows it has, and when."""

    aggregate: Aggregate
    session: date
    ledger_id: int
    rows: int
    refreshed_at: datetime


@dataclass(frozen=True)
class StaleSession:
    """A session of which some aggregates are older than its newest load of minute bars."""

    session: date
    ledger_id: int
    aggregates: tuple[str, ...]
    """In the order of ``AGGREGATES``."""
    dropped: bool = False
    """Whether retention took its minute bars: there is nothing to refresh it from."""
    blocked_by: tuple[str, ...] = ()
    """The error rules that its newest load fails."""


@persistently
def check_server(maintainer: TimescaleMaintainer) -> Server:
    """The server, if the aggregates can be refreshed there. Raises ``DatabaseError`` if not."""
    with maintainer.connect() as connection:
        return require_deployed(connection)


@persistently
def refresh(
    maintainer: TimescaleMaintainer,
    server: Server,
    aggregate: Aggregate,
    session: date,
    *,
    only_checked: bool = False,
) -> Refreshed:
    """Make the session's rows of ``aggregate`` what its definition says, and nothing else.

    Waits for a load of the session under way, and lets none begin meanwhile. ``only_checked``:
    from minute bars that were checked, and hold. Raises ``NothingToRefreshError``,
    ``BlockedError``, ``UncheckedError``, ``RefreshError`` and ``DatabaseError``.
    """
    with maintainer.connect() as connection, _locked(connection, aggregate, session):
        if only_checked:
            _require_checked(connection, session)
        known = connection.execute(
            statement("refresh/find_source"), [aggregate.source, session]
        ).fetchone()
        if known is None:
            missing = (
                "has no committed minute bars"
                if aggregate.source == "stock_prices"
                else f"has never been refreshed in {aggregate.source}"
            )
            raise NothingToRefreshError(f"the session {missing}")
        ledger_id, expected, refreshed_at = known
        there = _count(connection, aggregate.source, aggregate.source_time, session)
        if there < expected:
            raise RefreshError(
                f"{aggregate.source} has {there:,} of the session's {expected:,} rows, the others "
                f"were dropped: {aggregate.name} keeps what it has; load the session's minute "
                "bars again to refresh it"
            )
        rewrite = {Edition.COMMUNITY: _refresh_view, Edition.APACHE: _rewrite_table}
        rewrite[server.edition](connection, aggregate, session)
        rows = _count(connection, aggregate.name, "bucket", session)
    return Refreshed(aggregate, session, ledger_id, rows, refreshed_at)


@persistently
def record_refresh(maintainer: TimescaleMaintainer, refreshed: Refreshed, run_id: str) -> None:
    """Write down what the session's aggregate covers, unless a later refresh has already."""
    with maintainer.connect() as connection:
        connection.execute(
            statement("refresh/record_refresh"),
            [
                refreshed.aggregate.name,
                refreshed.session,
                refreshed.ledger_id,
                run_id,
                refreshed.rows,
                refreshed.refreshed_at,
            ],
        )


@persistently
def stale_sessions(maintainer: TimescaleMaintainer) -> list[StaleSession]:
    """Every session of which an aggregate is behind its source, oldest first."""
    names = [aggregate.name for aggregate in AGGREGATES]
    sources = [aggregate.source for aggregate in AGGREGATES]
    with maintainer.connect() as connection:
        rows = connection.execute(
            statement("refresh/find_stale_sessions"), [names, sources]
        ).fetchall()
    return [
        StaleSession(day, load, tuple(names), dropped, tuple(blocked_by))
        for day, load, names, dropped, blocked_by in rows
    ]


@contextmanager
def _locked(
    connection: "psycopg.Connection", aggregate: Aggregate, session: date
) -> Iterator[None]:
    # Locks of the connection, not of a transaction: a continuous aggregate is refreshed in several.
    connection.execute(statement("refresh/lock"), [aggregate.source, aggregate.name, session])
    yield
    connection.execute(statement("refresh/unlock"))


def _require_checked(connection: "psycopg.Connection", session: date) -> None:
    verdict = connection.execute(statement("refresh/find_verdict"), [session]).fetchone()
    if verdict is None:
        raise NothingToRefreshError("the session has no committed minute bars")
    checked, blocked_by = verdict
    if not checked:
        raise UncheckedError("the session's minute bars were not checked yet")
    if blocked_by:
        raise BlockedError(f"the session's minute bars fail {', '.join(blocked_by)}")


def _count(connection: "psycopg.Connection", relation: str, time: str, session: date) -> int:
    from psycopg.sql import Identifier

    query = composed("refresh/count_window", relation=Identifier(relation), time=Identifier(time))
    row = connection.execute(query, window(session)).fetchone()
    assert row is not None  # noqa: S101 - a count
    rows: int = row[0]
    return rows


def _refresh_view(connection: "psycopg.Connection", aggregate: Aggregate, session: date) -> None:
    connection.execute(
        statement("refresh/refresh_continuous_aggregate"), [aggregate.name, *window(session)]
    )


def _rewrite_table(connection: "psycopg.Connection", aggregate: Aggregate, session: date) -> None:
    from psycopg.sql import SQL, Identifier

    name, definition = Identifier(aggregate.name), SQL(aggregate.definition)
    with connection.transaction():
        connection.execute(composed("refresh/delete_window", name=name), window(session))
        connection.execute(
            composed("refresh/insert_window", name=name, definition=definition), window(session)
        )
