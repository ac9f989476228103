"""The two databases, as Dagster resources: TimescaleDB (time series) and the application's
PostgreSQL (symbols), each reached through its own PgBouncer.

Connections are ADBC's: Arrow in, Arrow out, plain SQL with ``$1`` parameters beside it, one
transaction at a time. Open late, close early: a session-mode pooler keeps a server connection
for as long as we hold ours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote, urlencode

import dagster as dg
from pydantic import Field

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
    variables: ClassVar[Mapping[str, str]]
    """Which environment variable holds which field."""

    host: str
    port: int
    user: str
    password: str = Field(repr=False)
    dbname: str

    @classmethod
    def configured(cls) -> Self:
        """The database the environment names, looked up when a run needs it."""
        fields: dict[str, Any] = {
            field: (dg.EnvVar.int if field == "port" else dg.EnvVar)(variable)
            for field, variable in cls.variables.items()
        }
        return cls(**fields)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The database ``environment`` names. Raises KeyError for a variable it lacks."""
        values = {field: environment[variable] for field, variable in cls.variables.items()}
        return cls.model_validate(values)

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
            message = (
                f"cannot reach {self.address}: {text}; check {', '.join(self.variables.values())}"
            )
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
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_HOST",
        "port": "TIMESCALE_PORT",
        "user": "TIMESCALE_USER",
        "password": "TIMESCALE_PASSWORD",
        "dbname": "TIMESCALE_DB",
    }


class ApplicationDatabase(Database):
    """Symbols, with a ledger and a quarantine of their own; through the application's
    transaction-mode PgBouncer, so nothing may outlive a transaction."""

    title = "application PostgreSQL"
    variables = {  # noqa: RUF012
        "host": "APP_DB_HOST",
        "port": "APP_DB_PORT",
        "user": "APP_DB_USER",
        "password": "APP_DB_PASSWORD",
        "dbname": "APP_DB_NAME",
    }
