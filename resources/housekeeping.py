"""What Dagster may forget: ended runs, and events that newer ones took the place of.

Kept for ever is what its pages are made of: of each asset and partition the newest materialisation,
observation and failure, of each check the newest evaluation, and the runs that these belong to. It
works in Dagster's PostgreSQL, over a connection of Dagster's own storage: a batch is a transaction,
so that it can end at any moment, and goes on where it ended the next time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from resources.statements import statement

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult

# A run's own events. They tell its course and its end for as long as the run is there.
_OF_THE_RUN = [
    "PIPELINE_ENQUEUED",
    "PIPELINE_DEQUEUED",
    "PIPELINE_STARTING",
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
    "PIPELINE_FAILURE",
    "PIPELINE_CANCELING",
    "PIPELINE_CANCELED",
    "STEP_FAILURE",
]
_WITHOUT_RUN = ""
# What the statements name. Dagster may keep its record otherwise in another version.
_COLUMNS = {
    "asset_check_executions": (
        *("id", "asset_key", "check_name", "partition", "run_id", "execution_status"),
        *("evaluation_event_timestamp", "evaluation_event_storage_id"),
    ),
    "asset_event_tags": ("event_id",),
    "bulk_actions": ("key", "status"),
    "event_logs": (*("id", "run_id", "dagster_event_type", "timestamp", "asset_key", "partition"),),
    "run_tags": ("run_id", "key", "value"),
    "runs": ("id", "run_id", "status", "end_time", "update_timestamp", "backfill_id"),
}


class UnknownStorageError(Exception):
    """Dagster keeps its record otherwise than we know; nothing was deleted."""


@dataclass
class Pruned:
    """How much went."""

    runs: int = 0
    events: int = 0
    evaluations: int = 0
    """Executions of checks, which Dagster keeps beside their events."""


@dataclass(frozen=True)
class Size:
    """How large Dagster's record is."""

    events: int
    bytes: int
    """On disk, with indexes; of rows that went, too, until others take their room."""


def require_known(connection: "Connection") -> None:
    """Raise UnknownStorageError unless Dagster's storage is what our statements are written for."""
    if connection.dialect.name != "postgresql":
        raise UnknownStorageError(
            f"Dagster's storage is {connection.dialect.name}; only that in PostgreSQL is pruned "
            "(storage in dagster.yaml)"
        )
    found = _execute(connection, "columns", tables=[*_COLUMNS])
    known = {(row.table_name, row.column_name) for row in found}
    missing = [
        f"{table}.{column}"
        for table, columns in _COLUMNS.items()
        for column in columns
        if (table, column) not in known
    ]
    if missing:
        raise UnknownStorageError(
            f"Dagster's storage has no {', '.join(missing)}: run `dagster instance migrate`; if it "
            "stays so, this version of Dagster is not known here, and nothing is deleted"
        )


def size(connection: "Connection") -> Size:
    """Events, and bytes of the tables that are pruned."""
    row = _execute(connection, "size").one()
    return Size(events=row.events, bytes=row.bytes)


def vacuum(connection: "Connection") -> None:
    """Give the room of deleted rows to new ones; ``connection`` is in autocommit mode. It waits
    for nobody, and takes as long as reading the tables does."""
    _execute(connection, "vacuum")


def prune(
    connection: "Connection",
    before: datetime,
    *,
    say: Callable[[str], None],
    dry_run: bool = False,
    runs_at_once: int = 500,
    events_at_once: int = 10_000,
) -> Pruned:
    """Delete what ended before ``before`` and is not needed; ``say`` is told after each batch.

    ``connection`` runs transactions, and is in none. A dry run does the same in one transaction,
    which it takes back in the end: its numbers are what would go. Raises SQLAlchemy's
    ``DBAPIError``; batches that were told are done.
    """
    pruning = _Pruning(connection, before.astimezone(UTC).replace(tzinfo=None), dry_run)
    pruned = Pruned()
    try:
        # First, for the event of an evaluation goes when no execution names it any more.
        while gone := pruning.evaluations(events_at_once):
            pruned.evaluations += gone
            say(f"{pruned.evaluations:,} evaluations of checks")
        for gone in pruning.events([_WITHOUT_RUN], events_at_once):
            pruned.events += gone
            say(f"{gone:,} events without a run")
        runs = pruning.ended_runs()
        began = time.monotonic()
        for first in range(0, len(runs), runs_at_once):
            batch = runs[first : first + runs_at_once]
            pruned.events += sum(pruning.events(batch, events_at_once))
            deleted, events = pruning.runs(batch)
            pruned.runs += deleted
            pruned.events += events
            done = first + len(batch)
            left = (time.monotonic() - began) / done * (len(runs) - done)
            say(
                f"{pruned.runs:,} runs and {pruned.events:,} events "
                f"[{done:,}/{len(runs):,} ended runs, about {left:.0f} s left]"
            )
    finally:
        connection.rollback()
    return pruned


class _Pruning:
    """The statements, each a transaction unless everything is taken back in the end."""

    def __init__(self, connection: "Connection", before: datetime, dry_run: bool) -> None:
        self._connection = connection
        self._before = before
        self._dry_run = dry_run

    def ended_runs(self) -> Sequence[str]:
        """Ids of runs that may go, oldest first."""
        found = _execute(self._connection, "find_runs", before=self._before)
        return [row.run_id for row in found]

    def evaluations(self, batch: int) -> int:
        """Executions of checks that went; 0: there are no more."""
        self._begin()
        deleted = _execute(
            self._connection, "prune_evaluations", before=self._before, batch=batch
        ).rowcount
        self._end()
        return deleted

    def events(self, runs: Sequence[str], batch: int) -> Iterator[int]:
        """Look at all events of ``runs``, so many at a time; how many of each batch went."""
        after = 0
        while True:
            self._begin()
            row = _execute(
                self._connection,
                "prune_events",
                runs=runs,
                after=after,
                before=self._before,
                of_the_run=_OF_THE_RUN,
                batch=batch,
            ).one()
            self._end()
            if row.last is None:
                return
            after = row.last
            yield row.gone

    def runs(self, runs: Sequence[str]) -> tuple[int, int]:
        """Those of ``runs`` that went, and their events."""
        self._begin()
        row = _execute(self._connection, "delete_runs", runs=runs, of_the_run=_OF_THE_RUN).one()
        self._end()
        return row.runs, row.events

    def _begin(self) -> None:
        _execute(self._connection, "limits")

    def _end(self) -> None:
        if not self._dry_run:
            self._connection.commit()


def _execute(connection: "Connection", name: str, **parameters: object) -> "CursorResult[Any]":
    from sqlalchemy import text

    return connection.execute(text(statement(f"housekeeping/{name}")), parameters)
