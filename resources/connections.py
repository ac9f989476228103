"""How work gets at the databases: with a new connection each time, or with one that is held."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, Self

from resources.tables import TABLES, Dataset

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import _SharedDatabase
    from adbc_driver_postgresql.dbapi import Connection

    from resources.databases import Database


class Connectable(Protocol):
    """A ``Database``, or one whose connection is held."""

    @property
    def address(self) -> str:
        """Where it is and who we are there, without the password."""
        ...

    def connect(self) -> AbstractContextManager["Connection"]:
        """See ``Database.connect``."""
        ...


class HeldConnection:
    """A database behind one connection, which is made on first use and kept from one use to the
    next; between them no transaction is open. For one thread.

    Whatever goes wrong in a use closes the connection, and the next use makes a new one: so a
    connection that was lost is tried again like any other.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._connection: Connection | None = None

    @property
    def address(self) -> str:
        return self._database.address

    @contextmanager
    def connect(self) -> Iterator["Connection"]:
        """As ``Database.connect``."""
        connection = self._connection or self._database.open()
        # Not kept unless the use ends well.
        self._connection = None
        try:
            with self._database.explaining():
                yield connection
                connection.rollback()
            self._connection, connection = connection, None
        finally:
            _close(connection)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        _close(connection)


@contextmanager
def held(database: "Database") -> Iterator[HeldConnection]:
    """The database behind one connection, until the end of the block."""
    connection = HeldConnection(database)
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True)
class Databases:
    """The two databases the datasets are in."""

    timescaledb: Connectable
    application: Connectable

    @classmethod
    @contextmanager
    def held(cls, timescaledb: "Database", application: "Database") -> Iterator[Self]:
        """Each behind one connection until the end of the block, for who asks more than once."""
        with held(timescaledb) as series, held(application) as relational:
            yield cls(series, relational)

    def of(self, dataset: Dataset) -> Connectable:
        at_application = TABLES[dataset].database == "application_database"
        return self.application if at_application else self.timescaledb


def _close(connection: "Connection | None") -> None:
    from adbc_driver_manager import Error

    if connection is not None:
        # What was lost cannot be closed properly, and whoever used it knows.
        with suppress(Error):
            connection.close()


@cache
def driver(conninfo: str) -> "_SharedDatabase":
    """What all connections of a login share. To make it, the driver connects and reads every column
    of every table, which takes as long as there are chunks: so once per process."""
    import adbc_driver_postgresql
    from adbc_driver_manager.dbapi import _SharedDatabase

    return _SharedDatabase(adbc_driver_postgresql.connect(conninfo))
