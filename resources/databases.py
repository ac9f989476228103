"""The two databases, as Dagster resources: TimescaleDB (time series) and the application's
PostgreSQL (symbols), each reached through its own PgBouncer.

Connections are ADBC's: Arrow in, Arrow out, plain SQL with ``$1`` parameters beside it, one
transaction at a time. Open late, close early: a session-mode pooler keeps a server connection
for as long as we hold ours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode

import dagster as dg

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection

# libpq's own limits: a server that does not answer, or is gone without a word, is given up.
_LIMITS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "stock_assets",
}

# Class 08 and 57P: the connection or the server went away; 40: lost to another transaction;
# 53300: too many connections; 58: PgBouncer lost its server.
_TRANSIENT_SQLSTATES = ("08", "40", "57P", "53300", "58")


class DatabaseError(Exception):
    """A database refused or broke; the text names it, what it said and what to check."""


class DatabaseUnavailableError(DatabaseError):
    """The database did not answer, or went away in mid-work: worth another try."""


class Database(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One PostgreSQL database behind its pooler."""

    title: ClassVar[str]
    variables: ClassVar[str]

    host: str
    port: int
    user: str
    password: str
    dbname: str

    @property
    def address(self) -> str:
        """Where it is and who we are there, without the password."""
        return f"{self.title} {self.dbname} at {self.host}:{self.port} as {self.user}"

    @contextmanager
    def connect(self) -> "Iterator[Connection]":
        """One ADBC connection, not in autocommit mode; closed, and rolled back unless committed.

        Everything the driver raises inside leaves as ``DatabaseUnavailableError`` where another
        try may help, else as ``DatabaseError``.
        """
        from adbc_driver_manager import Error
        from adbc_driver_postgresql import dbapi

        user, password = quote(self.user, safe=""), quote(self.password, safe="")
        uri = (
            f"postgresql://{user}:{password}@{self.host}:{self.port}/"
            f"{quote(self.dbname, safe='')}?{urlencode(_LIMITS)}"
        )
        try:
            try:
                connection = dbapi.connect(uri)
            except Error as error:
                raise self._explained(error, connecting=True) from None
            try:
                yield connection
            finally:
                connection.close()
        except Error as error:
            raise self._explained(error, connecting=False) from error

    def _explained(self, error: Exception, *, connecting: bool) -> DatabaseError:
        text = " ".join(str(error).split())
        state = getattr(error, "sqlstate", None) or ""
        # A login that fails comes without SQLSTATE; only what another try may cure is retried.
        final = ("authentication failed", "does not exist", "no such user", "no such database")
        lost = ("connection", "server closed", "query_wait_timeout", "terminating")
        transient = (
            not any(words in text for words in final)
            if connecting
            else state.startswith(_TRANSIENT_SQLSTATES)
            or (not state and any(words in text for words in lost))
        )
        if connecting:
            message = f"cannot reach {self.address}: {text}; check {self.variables}"
        elif state == "55P03":
            message = (
                f"{self.address}: another run holds this session for longer than a minute; "
                "see ingest_ledger and pg_stat_activity, then run it again"
            )
        else:
            message = f"{self.address}: {text}"
        return (DatabaseUnavailableError if transient else DatabaseError)(message)


class TimescaleDB(Database):
    """Bars, flows, the ledger and the quarantine; through the session-mode PgBouncer."""

    title = "TimescaleDB"
    variables = (
        "TIMESCALE_HOST, TIMESCALE_PORT, TIMESCALE_USER, TIMESCALE_PASSWORD and TIMESCALE_DB"
    )


class ApplicationDatabase(Database):
    """Symbols, with a ledger and a quarantine of their own; through the application's
    transaction-mode PgBouncer, so nothing may outlive a transaction."""

    title = "application PostgreSQL"
    variables = "APP_DB_HOST, APP_DB_PORT, APP_DB_USER, APP_DB_PASSWORD and APP_DB_NAME"
