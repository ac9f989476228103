"""Retention: chunks older than a table is kept for are dropped, whole, and the ledger says so.

A chunk of minute bars stays while an aggregate lacks any of its rows. The aggregates keep their
history: a refresh never touches a session whose rows were dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from resources.aggregates import AGGREGATES
from resources.databases import DatabaseError, TimescaleMaintainer, persistently
from resources.hypertables import Chunk, Hypertable, chunks_before, locked
from resources.statements import composed, statement
from resources.tables import TABLES

if TYPE_CHECKING:
    import psycopg


class UnrefreshedError(Exception):
    """An aggregate lacks rows of the chunk; nothing was dropped. The text names the days."""


@dataclass(frozen=True)
class Expired:
    """A chunk that may go, and the rows it holds of each day in Seoul."""

    chunk: Chunk
    rows: Mapping[date, int]


@persistently
def expired_chunks(
    maintainer: TimescaleMaintainer, table: Hypertable, before: datetime
) -> list[Chunk]:
    """The chunks that lie wholly before a time, oldest first. Raises ``DatabaseError``."""
    with maintainer.connect() as connection:
        return chunks_before(connection, table, before)


@persistently
def drop(
    maintainer: TimescaleMaintainer,
    table: Hypertable,
    chunk: Chunk,
    *,
    run_id: str,
    began: datetime,
    dry_run: bool = False,
) -> Expired:
    """Drop a chunk and write its days into the ledger, in one transaction; what it held.

    ``dry_run`` changes nothing. Raises ``ChunkBusyError`` while a session in it is being loaded,
    ``UnrefreshedError`` and ``DatabaseError``; the chunk is then as it was.
    """
    with maintainer.connect() as connection, locked(connection, table, chunk):
        rows = _rows_by_day(connection, table, chunk)
        _require_refreshed(connection, table, list(rows))
        if not dry_run:
            dropped = connection.execute(
                statement("retention/drop_chunk"), [table.name, *table.bounds(chunk)]
            )
            # A frozen chunk is passed over without a word.
            if [name for (name,) in dropped] != [chunk.name]:
                raise DatabaseError(
                    f"{maintainer.address}: TimescaleDB did not drop {chunk.name}; is it frozen?"
                )
            connection.execute(
                statement("retention/record_drop"),
                [_asset(table), list(rows), list(rows.values()), run_id, began],
            )
        return Expired(chunk, rows)


def _rows_by_day(
    connection: "psycopg.Connection", table: Hypertable, chunk: Chunk
) -> dict[date, int]:
    from psycopg.sql import SQL, Identifier

    time = Identifier(table.time)
    day = SQL("({} AT TIME ZONE 'Asia/Seoul')::date").format(time) if table.time == "time" else time
    query = composed("retention/find_days", day=day, table=Identifier(table.name), time=time)
    return dict(connection.execute(query, table.bounds(chunk)).fetchall())


def _require_refreshed(
    connection: "psycopg.Connection", table: Hypertable, days: list[date]
) -> None:
    names = [aggregate.name for aggregate in AGGREGATES]
    if table.name not in {aggregate.source for aggregate in AGGREGATES}:
        return
    found = connection.execute(statement("retention/find_unrefreshed_days"), [days, names])
    if behind := [str(day) for (day,) in found]:
        raise UnrefreshedError(
            f"aggregates lack rows of {', '.join(behind)}: refresh {', '.join(names)} first"
        )


def _asset(table: Hypertable) -> str:
    """The asset that fills the table; the table's own name where none does yet."""
    datasets = {other.name: dataset.value for dataset, other in TABLES.items()}
    return datasets.get(table.name, table.name)
