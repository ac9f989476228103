"""What the TimescaleDB server is: its edition and versions, read from it and never configured."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from resources.aggregates import AGGREGATES
from resources.databases import DatabaseError, TimescaleMaintainer, persistently
from resources.statements import statement

if TYPE_CHECKING:
    import psycopg

_POSTGRESQL = 15
_TIMESCALEDB = (2, 18)


class UnsupportedServerError(DatabaseError):
    """The server is none we can work with; the text says what it lacks."""


class Edition(StrEnum):
    """Which of TimescaleDB's features there are."""

    APACHE = "Apache"
    """Hypertables; neither continuous aggregates nor compression."""
    COMMUNITY = "Community"
    """Everything."""


@dataclass(frozen=True)
class Server:
    """A server that we can work with."""

    edition: Edition
    timescaledb: str
    """Version of the extension in our database."""
    postgresql: str

    def __str__(self) -> str:
        return f"TimescaleDB {self.timescaledb} {self.edition} on PostgreSQL {self.postgresql}"


def read_server(connection: "psycopg.Connection") -> Server:
    """What the server behind ``connection`` is. Raises ``UnsupportedServerError``."""
    row = connection.execute(statement("maintenance/read_server")).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM
    postgresql, major, timescaledb, licence = row
    server = supported(postgresql.split()[0], major, timescaledb, licence)
    if server.edition is Edition.APACHE:
        ours = [aggregate.name for aggregate in AGGREGATES]
        objects = connection.execute(statement("maintenance/find_community_objects"), [ours])
        if left := ", ".join(name for (name,) in objects):
            raise UnsupportedServerError(
                f"{server} cannot work with what the Community edition made here ({left}): set "
                "timescaledb.license to timescale again, or decompress and drop it there first"
            )
    return server


@persistently
def server_of(maintainer: TimescaleMaintainer) -> Server:
    """The server ``maintainer`` leads to. Raises ``DatabaseError``."""
    with maintainer.connect() as connection:
        return read_server(connection)


def supported(postgresql: str, major: int, timescaledb: str | None, licence: str | None) -> Server:
    """The server of these versions and this ``timescaledb.license``. Raises
    ``UnsupportedServerError``."""
    if major < _POSTGRESQL:
        raise UnsupportedServerError(
            f"the server is PostgreSQL {postgresql}; {_POSTGRESQL} or newer is needed"
        )
    if timescaledb is None:
        raise UnsupportedServerError(
            "the database has no extension timescaledb: run sql/bootstrap/timescaledb.sql as the "
            "server's superuser"
        )
    if tuple(int(part) for part in timescaledb.split(".")[:2]) < _TIMESCALEDB:
        raise UnsupportedServerError(
            f"the database has TimescaleDB {timescaledb}; {'.'.join(map(str, _TIMESCALEDB))} or "
            "newer is needed (ALTER EXTENSION timescaledb UPDATE)"
        )
    editions = {"apache": Edition.APACHE, "timescale": Edition.COMMUNITY}
    if licence not in editions:
        raise UnsupportedServerError(
            f"the server says timescaledb.license = {licence}; apache or timescale is needed"
        )
    return Server(editions[licence], timescaledb, postgresql)
