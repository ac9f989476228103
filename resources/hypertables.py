"""The hypertables and their chunks, as maintenance sees them: compression and retention work on
whole chunks, never beside a load of a session in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from resources.statements import statement

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Hypertable:
    """A hypertable of schema public; ``time`` is the column it is divided by."""

    name: str
    time: str
    order_by: str
    """What the rows of a segment are ordered by in a compressed chunk, as SQL."""
    segment_by: str = "symbol"
    """The column of whose values each is a segment of a compressed chunk."""

    def bounds(self, chunk: "Chunk") -> tuple[date, date]:
        """A chunk's start and end in the type of ``time``."""
        start, end = chunk.start.astimezone(UTC), chunk.end.astimezone(UTC)
        # A date's chunk begins and ends at midnight in UTC, whatever zone the session is in.
        return (start, end) if self.time == "time" else (start.date(), end.date())


HYPERTABLES = (
    Hypertable("stock_prices", "time", "venue, time"),
    Hypertable("daily_bars", "date", "date"),
    Hypertable("supply_demand", "date", "date"),
    Hypertable("market_flows", "date", "date", segment_by="market"),
    Hypertable("realtime_prices", "time", "time, seq"),
)


@dataclass(frozen=True)
class Chunk:
    """A chunk by its qualified name, and when its rows are from; ``end`` is not part of it."""

    name: str
    start: datetime
    end: datetime
    first_day: date
    """In Seoul, like ``last_day``."""
    last_day: date


class ChunkBusyError(Exception):
    """A load of a session in the chunk is under way; nothing was done."""


def chunks_before(
    connection: "psycopg.Connection", table: Hypertable, before: datetime
) -> list[Chunk]:
    """The chunks that lie wholly before a time, oldest first."""
    rows = connection.execute(statement("maintenance/find_chunks"), [table.name, before])
    return [Chunk(*row) for row in rows]


@contextmanager
def locked(connection: "psycopg.Connection", table: Hypertable, chunk: Chunk) -> Iterator[None]:
    """A transaction in which no session of the chunk is loaded. Raises ``ChunkBusyError`` where
    one is being loaded: whoever comes next may do the work, so nobody waits."""
    with connection.transaction():
        row = connection.execute(
            statement("maintenance/try_lock_sessions"),
            [table.name, chunk.first_day, chunk.last_day],
        ).fetchone()
        if row is None or not row[0]:
            raise ChunkBusyError("a load of a session in it is under way")
        yield
