"""Compression of old chunks, a chunk and a transaction at a time.

What is compressed stays so until a session in it is loaded again: then the chunk holds rows beside
the compressed ones, and is found and compressed again. TimescaleDB Community only.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from resources.databases import DatabaseError, TimescaleMaintainer, persistently
from resources.hypertables import Chunk, Hypertable, chunks_before, locked
from resources.statements import composed, statement

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Size:
    """Bytes before and after compression, of whatever was compressed."""

    before: int
    after: int

    @property
    def ratio(self) -> float:
        """How many times smaller it became; 1 for nothing."""
        return self.before / self.after if self.after else 1.0


@dataclass(frozen=True)
class Compression:
    """How far a table is compressed; ``size`` is that of its compressed chunks."""

    chunks: int
    compressed: int
    size: Size


@persistently
def uncompressed_chunks(
    maintainer: TimescaleMaintainer, table: Hypertable, before: datetime
) -> list[Chunk]:
    """The chunks wholly before a time that are not, or not wholly, compressed; oldest first.
    Raises ``DatabaseError``."""
    with maintainer.connect() as connection:
        chunks = {chunk.name: chunk for chunk in chunks_before(connection, table, before)}
        names = connection.execute(
            statement("compression/find_uncompressed_chunks"), [list(chunks)]
        )
        return [chunks[name] for (name,) in names]


@persistently
def compress(maintainer: TimescaleMaintainer, table: Hypertable, chunk: Chunk) -> Size:
    """Compress a chunk, or what was added to it; return its size.

    Raises ``ChunkBusyError`` while a session in it is being loaded, and ``DatabaseError``; in
    both cases the chunk is as it was.
    """
    with maintainer.connect() as connection:
        with locked(connection, table, chunk):
            _enable(connection, table)
            connection.execute(statement("compression/compress_chunk"), [chunk.name])
        row = connection.execute(
            statement("compression/chunk_bytes"), [table.name, chunk.name]
        ).fetchone()
        if row is None or row[1] is None:
            raise DatabaseError(
                f"{maintainer.address}: {chunk.name} of {table.name} was compressed and is not"
            )
        return Size(*row)


@persistently
def compression(maintainer: TimescaleMaintainer, table: Hypertable) -> Compression:
    """How far the table is compressed. Raises ``DatabaseError``."""
    with maintainer.connect() as connection:
        row = connection.execute(statement("compression/table_bytes"), [table.name]).fetchone()
    assert row is not None  # noqa: S101 - an outer join to one row
    chunks, compressed, before, after = row
    return Compression(chunks, compressed, Size(before, after))


def _is_enabled(connection: "psycopg.Connection", table: Hypertable) -> bool:
    row = connection.execute(statement("compression/is_enabled"), [table.name]).fetchone()
    return row is not None and bool(row[0])


def _enable(connection: "psycopg.Connection", table: Hypertable) -> None:
    from psycopg.sql import Identifier, Literal

    if not _is_enabled(connection, table):
        connection.execute(
            composed(
                "compression/enable",
                table=Identifier(table.name),
                order_by=Literal(table.order_by),
                segment_by=Literal(table.segment_by),
            )
        )
