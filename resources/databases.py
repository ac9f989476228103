"""The two databases, as Dagster resources: TimescaleDB (time series) and the application's
PostgreSQL (symbols), each reached through its own PgBouncer.

Loads use ADBC: Arrow in, Arrow out, plain SQL with ``$1`` parameters beside it, one transaction
at a time. Maintenance (``MaintenanceLogin``) uses psycopg in autocommit mode. Open late, close
early: a session-mode pooler keeps a server connection for as long as we hold ours.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import quote, urlencode

import dagster as dg
from pydantic import Field
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from resources.statements import statement

if TYPE_CHECKING:
    import psycopg
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

# Of a maintenance connection: waiting for a lock, and for a statement.
_TIMEOUTS = ("60s", "15min")


class DatabaseError(Exception):
    """A database refused or broke; the text names it, what it said and what to check."""


class DatabaseUnavailableError(DatabaseError):
    """The database did not answer, or went away in mid-work: worth another try."""


persistently = retry(
    retry=retry_if_exception_type(DatabaseUnavailableError),
    stop=stop_after_attempt(5),
    wait=wait_exponential_jitter(multiplier=1, max=15),
    reraise=True,
)
"""Decorates what may be tried again as a whole when the database was away."""


class Login(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A PostgreSQL database, and who we are there."""

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


class Database(Login):
    """One PostgreSQL database behind its pooler, for loading and reading."""

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


class MaintenanceLogin(Login):
    """TimescaleDB for what cannot run in a transaction, or must own tables."""

    @contextmanager
    def connect(self) -> "Iterator[psycopg.Connection]":
        """One psycopg connection in autocommit mode, parameters as ``$1``; waits for a lock at
        most a minute, for a statement 15. Errors are those of ``Database.connect``."""
        import psycopg

        fields = ("host", "port", "user", "password", "dbname")
        address = psycopg.conninfo.make_conninfo(
            **{field: getattr(self, field) for field in fields}, **_LIMITS, **self._encryption()
        )
        try:
            try:
                connection = psycopg.connect(
                    address,
                    autocommit=True,
                    cursor_factory=psycopg.RawCursor,
                    # Each statement is planned with its own values, which excludes chunks.
                    prepare_threshold=None,
                )
            except psycopg.Error as error:
                raise self._explained(error, connecting=True) from None
            try:
                connection.execute(statement("maintenance/limit_connection"), _TIMEOUTS)
                yield connection
            finally:
                connection.close()
        except psycopg.Error as error:
            raise self._explained(error, connecting=False) from error

    def _encryption(self) -> dict[str, str]:
        """libpq's connection parameters for it."""
        return {}


class TimescaleMaintainer(MaintenanceLogin):
    """Refreshes aggregates; through the session-mode PgBouncer."""

    title = "TimescaleDB"
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_HOST",
        "port": "TIMESCALE_PORT",
        "password": "COLLECTOR_MAINTAINER_PASSWORD",
        "dbname": "TIMESCALE_DB",
    }
    user: str = "collector_maintainer"


class TimescaleMigrator(MaintenanceLogin):
    """Makes and drops what belongs to the collector's owner; straight to the server."""

    title = "TimescaleDB"
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_SERVER_HOST",
        "port": "TIMESCALE_SERVER_PORT",
        "password": "COLLECTOR_MIGRATOR_PASSWORD",
        "dbname": "TIMESCALE_DB",
    }
    user: str = "collector_migrator"

    def _encryption(self) -> dict[str, str]:
        # As for migrations: demanded beyond this machine, unless the environment says otherwise.
        if self.host in ("127.0.0.1", "localhost"):
            return {"sslmode": "disable"}
        return {} if "PGSSLMODE" in os.environ else {"sslmode": "require"}
