"""Writing one session: everything in one transaction, or nothing.

The transaction takes the session's lock, deletes the session (or the named symbols of it), copies
the new rows in, and writes quarantine and ledger. What went wrong before or in it is recorded in
a transaction of its own (``record_attempt``), so that an attempt is never without a trace.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from resources.canonical import require_canonical
from resources.connections import Connectable
from resources.databases import TIMEOUTS
from resources.ledger import Commit
from resources.quarantine import add_refused, by_reason, replace_refused
from resources.statements import composed, statement, typed
from resources.tables import Table

if TYPE_CHECKING:
    import pandas as pd
    from adbc_driver_postgresql.dbapi import Cursor
    from psycopg.sql import Composed

_SHRINK = 0.9
_BATCH = 65_536
_BATCHES = 4
_TEXTS = pa.list_(pa.string())


class LoadRefusedError(Exception):
    """The contract forbids the load: the table stays as it was. The text names the numbers and
    the run config that allows it, where one does."""


@dataclass(frozen=True)
class Attempt:
    """One try at loading one session of one table: what the ledger says about it."""

    table: Table
    session: date
    symbols: tuple[str, ...] | None
    run_id: str
    source: str
    simulated: bool
    provisional: bool
    started_at: datetime

    def committed(
        self,
        line: int,
        counts: tuple[int, int, int],
        total: int,
        refused: Mapping[str, int] | None = None,
    ) -> Commit:
        """It as a commit, which the ledger has in ``line``; for the rest see ``write_ledger``."""
        loaded, replaced, quarantined = counts
        return Commit(
            id=line,
            run_id=self.run_id,
            session=self.session,
            source=self.source,
            simulated=self.simulated,
            provisional=self.provisional,
            symbols=self.symbols,
            loaded=loaded,
            replaced=replaced,
            quarantined=quarantined,
            checksum=total,
            refused=refused or {},
        )


@dataclass(frozen=True)
class Refused:
    """Rows that validation refused, as the source gave them, and why."""

    rows: "pd.DataFrame | None" = None
    reasons: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.reasons)


def load(
    database: Connectable,
    attempt: Attempt,
    rows: pa.Table,
    total: int,
    refused: Refused,
    *,
    allow_shrink: bool = False,
    allow_source_change: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> Commit:
    """Replace the session's rows by ``rows`` (exactly the table's Arrow schema; ``total`` is their
    checksum) and commit. ``meanwhile`` is called once the server is about to be busy with them.

    Raises ``CanonicalError`` for any other schema, ``LoadRefusedError`` for a load below 90 % of
    what it would replace or one that would swap real rows for simulated ones (or back) unless
    allowed, and ``DatabaseError``. In each case nothing has changed.
    """
    require_canonical(rows, attempt.table)
    with database.connect() as connection, connection.cursor() as cursor:
        begin(cursor, attempt.table, attempt.session)
        write = write_members if attempt.table.dated else write_window
        replaced = write(cursor, attempt, rows, meanwhile)
        if rows.num_rows < _SHRINK * replaced and not allow_shrink:
            raise LoadRefusedError(
                f"{rows.num_rows:,} rows would replace {replaced:,}, less than "
                f"{_SHRINK:.0%} of them; if that is right, run it with allow_shrink: true"
            )
        if replaced and not allow_source_change:
            _refuse_source_change(cursor, attempt)
        replace_refused(cursor, attempt, refused)
        counts = (rows.num_rows, replaced, len(refused))
        line = write_ledger(cursor, attempt, "committed", counts, total, None)
        connection.commit()
    return attempt.committed(line, counts, total, by_reason(refused.reasons))


def record_attempt(
    database: Connectable,
    attempt: Attempt,
    outcome: Literal["refused", "failed"],
    error: str,
    refused: Refused,
) -> None:
    """Keep an attempt that changed nothing: its refused rows and its error, in a transaction of
    their own. Rows quarantined earlier stay, as the table they belong to does; what comes
    again is there once."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("loading/limit_transaction"), TIMEOUTS)
        add_refused(cursor, attempt, refused)
        write_ledger(cursor, attempt, outcome, (0, 0, len(refused)), None, error)
        connection.commit()


def begin(cursor: "Cursor", table: Table, session: date) -> None:
    """Limit the transaction, and wait until nobody else writes the session; its lock is held until
    the transaction ends."""
    cursor.execute(statement("loading/begin"), (*TIMEOUTS, table.name, session))


def write_window(
    cursor: "Cursor", attempt: Attempt, rows: pa.Table, meanwhile: Callable[[], None]
) -> int:
    """Replace a session's rows; return how many it held."""
    # Only executemany reports how many rows a statement with parameters touched.
    cursor.executemany(
        statement(f"loading/delete_{attempt.table.name}"),
        typed(session=(attempt.session, pa.date32()), symbols=(attempt.symbols, _TEXTS)),
    )
    replaced: int = cursor.rowcount
    meanwhile()
    # In batches: the server writes one while the driver encodes the next.
    batches = rows.to_reader(max_chunksize=min(_BATCH, rows.num_rows // _BATCHES + 1))
    cursor.adbc_ingest(attempt.table.name, batches, mode="append", db_schema_name="public")
    return replaced


def write_members(
    cursor: "Cursor",
    attempt: Attempt,
    rows: pa.Table,
    meanwhile: Callable[[], None] = lambda: None,
) -> int:
    """Make the dated table say that ``rows`` are the session's members; return how many it had."""
    limits = typed(
        session=(attempt.session, pa.date32()),
        symbols=(attempt.symbols, _TEXTS),
        asset=(attempt.table.dataset.value, pa.string()),
    )
    cursor.execute(_of_members("count_members", attempt.table), limits)
    replaced: int = cursor.fetchone()[0]
    cursor.execute(_of_members("stage_members", attempt.table))
    meanwhile()
    cursor.adbc_ingest("incoming", rows, mode="append", temporary=True)
    cursor.execute(_of_members("find_changed_members", attempt.table), limits)
    for step in ("rebuild_changed_members", "delete_changed_members", "insert_rebuilt_members"):
        cursor.execute(_of_members(step, attempt.table))
    return replaced


@cache
def _of_members(name: str, table: Table) -> str:
    """The statement about members of a dated table, with the table and its columns."""
    from psycopg.sql import SQL, Identifier

    def columns(*of: str) -> "Composed":
        return SQL(", ").join(
            Identifier(*of, column) for column in table.column_names if column not in table.key
        )

    parts = {
        "table": Identifier(table.name),
        "columns": columns(),
        "columns_known": columns("known"),
        "columns_incoming": columns("incoming"),
    }
    return composed(f"loading/{name}", **parts).as_string()


def _refuse_source_change(cursor: "Cursor", attempt: Attempt) -> None:
    cursor.execute(statement("loading/newest_load"), (attempt.table.dataset.value, attempt.session))
    newest = cursor.fetchone()
    if newest is not None and newest[0] != attempt.simulated:
        kinds = ("simulated", "real") if newest[0] else ("real", "simulated")
        raise LoadRefusedError(
            f"{kinds[0]} rows would be replaced by {kinds[1]} ones from source {attempt.source}; "
            "if that is right, run it with allow_source_change: true"
        )


def write_ledger(
    cursor: "Cursor",
    attempt: Attempt,
    outcome: str,
    counts: tuple[int, int, int],
    total: int | None,
    error: str | None,
) -> int:
    """Write the attempt's line, with rows loaded, replaced and quarantined; return its id."""
    loaded, replaced, quarantined = counts
    cursor.execute(
        statement("loading/insert_ledger"),
        typed(
            run_id=(attempt.run_id, pa.string()),
            asset=(attempt.table.dataset.value, pa.string()),
            session=(attempt.session, pa.date32()),
            source=(attempt.source, pa.string()),
            simulated=(attempt.simulated, pa.bool_()),
            provisional=(attempt.provisional, pa.bool_()),
            outcome=(outcome, pa.string()),
            symbols=(attempt.symbols, _TEXTS),
            loaded=(loaded, pa.int64()),
            replaced=(replaced, pa.int64()),
            quarantined=(quarantined, pa.int64()),
            checksum=(total, pa.int64()),
            error=(error, pa.string()),
            # As text: for an instant the driver would change the session's time zone, which a
            # transaction-mode pooler hands on, and take any zone for UTC.
            started_at=(attempt.started_at.isoformat(), pa.string()),
        ),
    )
    line: int = cursor.fetchone()[0]
    return line
