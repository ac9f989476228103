"""The two databases, as Dagster resources: TimescaleDB (time series) and the application's
PostgreSQL (symbols), each reached through its own PgBouncer.

Loads use ADBC: Arrow in, Arrow out, plain SQL with ``$1`` parameters beside it, one transaction
at a time. Everything else (``AutocommitLogin``) uses psycopg in autocommit mode. Open late, close
early: a session-mode pooler keeps a server connection as long as we hold ours (``connections``).
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import dagster as dg
from pydantic import Field
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from resources.connections import driver
from resources.statements import statement

if TYPE_CHECKING:
    import psycopg
    from adbc_driver_postgresql.dbapi import Connection

LIMITS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "stock_assets",
}
"""libpq's own limits: a server that does not answer, or vanishes, is given up."""

# 08 and 57P: connection or server went away; 40: lost to another transaction; 53300: too many
# connections; 58: PgBouncer lost its server.
_TRANSIENT_SQLSTATES = ("08", "40", "57P", "53300", "58")
# In what a connection that was lost says where it has no SQLSTATE.
_LOST = ("connection", "server closed", "query_wait_timeout", "terminating", "SSL", "Connection")
# In what a connection that cannot be made says where another try will not cure it.
_FINAL = (
    *("authentication failed", "does not exist", "no such user", "no such database"),
    *("permission denied", "not permitted to log in", "pg_hba.conf", "certificate"),
    *("does not support SSL", "SSL required", "invalid sslmode"),
)
_TLS = ("certificate", "SSL", "sslmode", "no encryption")
# What the driver puts before the server's words.
_BY_DRIVER = re.compile(r"^.*?\[libpq\] (Failed to connect: )?")

TIMEOUTS = ("60s", "15min")
"""How long is waited for a lock, and for a statement."""


class DatabaseError(Exception):
    """A database refused or broke; the text names it, what it said and what to check."""


class LoginError(DatabaseError):
    """The database cannot be reached as we are configured: no other try will succeed either."""


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
    tls_variables: ClassVar[Mapping[str, str]]
    """The same for the fields that need not be set."""

    host: str
    port: int
    user: str
    password: str = Field(repr=False)
    dbname: str
    sslmode: str | None = None
    """libpq's; None is its default, prefer: encrypted where the server can, whoever it is."""
    sslrootcert: str | None = None
    """File with the certificates of the authorities that verify-ca and verify-full trust, or
    "system" for those of the machine."""

    @classmethod
    def configured(cls) -> Self:
        """The database the environment names, looked up when a run needs it."""
        fields: dict[str, Any] = {
            field: (dg.EnvVar.int if field == "port" else dg.EnvVar)(variable)
            for field, variable in cls._variables(os.environ).items()
        }
        return cls(**fields)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The database ``environment`` names. Raises KeyError for a variable it lacks."""
        named = cls._variables(environment).items()
        return cls.model_validate({field: environment[variable] for field, variable in named})

    @classmethod
    def _variables(cls, environment: Mapping[str, str]) -> dict[str, str]:
        tls = {field: name for field, name in cls.tls_variables.items() if environment.get(name)}
        return {**cls.variables, **tls}

    @property
    def address(self) -> str:
        """Where it is and who we are there, without the password."""
        return f"{self.title} {self.dbname} at {self.host}:{self.port} as {self.user}"

    def _parameters(self) -> dict[str, Any]:
        # For libpq, by name: a URL that it cannot read it shows in its error, with the password.
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.dbname,
            "sslmode": self.sslmode,
            "sslrootcert": self.sslrootcert,
            **LIMITS,
        }

    def _explained(self, error: Exception, *, connecting: bool) -> DatabaseError:
        text = _BY_DRIVER.sub("", " ".join(str(error).split()))
        state = getattr(error, "sqlstate", None) or ""
        # A server whose log has no space left dies of it: its last words come without SQLSTATE.
        full = state == "53100" or "No space left on device" in text
        # A login that fails comes without SQLSTATE; only what another try may cure is retried.
        transient = not full and (
            not any(words in text for words in _FINAL)
            if connecting
            else state.startswith(_TRANSIENT_SQLSTATES)
            or (not state and any(words in text for words in _LOST))
        )
        if connecting:
            about_tls = any(words in text for words in _TLS)
            if "certificate verify failed" in text:
                text += f" (expired, or signed by nobody in {self.tls_variables['sslrootcert']})"
            check = [*(self.tls_variables if about_tls else {}).values(), *self.variables.values()]
            message = f"cannot reach {self.address}: {text}; check {', '.join(check)}"
        elif state == "55P03":
            message = (
                f"{self.address}: another run holds this session for longer than a minute; "
                "see ingest_ledger and pg_stat_activity, then run it again"
            )
        elif full:
            message = (
                f"{self.address}: the server's disk is full; make space on it, then run this "
                f"session again ({text})"
            )
        else:
            message = f"{self.address}: {text}"
        if transient:
            return DatabaseUnavailableError(message)
        return LoginError(message) if connecting else DatabaseError(message)


class Database(Login):
    """One PostgreSQL database behind its pooler, for loading and reading."""

    @contextmanager
    def connect(self) -> "Iterator[Connection]":
        """One ADBC connection, not in autocommit mode; closed, and rolled back unless committed.

        Everything the driver raises leaves as ``DatabaseUnavailableError`` where another try may
        help, as ``LoginError`` where there will be no connection, else as ``DatabaseError``."""
        with self.explaining(), closing(self.open()) as connection:
            yield connection

    def open(self) -> "Connection":
        """A connection for the caller to close; errors are those of ``connect``."""
        from adbc_driver_manager import AdbcConnection, dbapi

        # What Dagster's storage has imported already; psycopg takes 0.2 s.
        from psycopg2.extensions import make_dsn

        try:
            shared = driver(make_dsn(**self._parameters()))
            return dbapi.Connection(shared, AdbcConnection(shared._db))
        except dbapi.Error as error:
            raise self._explained(error, connecting=True) from None

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """What the driver raises inside leaves as ``connect`` says."""
        from adbc_driver_manager import Error

        try:
            yield
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
    tls_variables = {  # noqa: RUF012
        "sslmode": "TIMESCALE_SSLMODE",
        "sslrootcert": "TIMESCALE_SSLROOTCERT",
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
    tls_variables = {  # noqa: RUF012
        "sslmode": "APP_DB_SSLMODE",
        "sslrootcert": "APP_DB_SSLROOTCERT",
    }


class AutocommitLogin(Login):
    """A database for what loads nothing: psycopg, each statement a transaction of its own."""

    @contextmanager
    def connect(self) -> "Iterator[psycopg.Connection]":
        """One connection, parameters as ``$1``. Errors are those of ``Database.connect``."""
        import psycopg

        address = psycopg.conninfo.make_conninfo(**self._parameters())
        try:
            try:
                connection = psycopg.connect(
                    address,
                    autocommit=True,
                    cursor_factory=self._cursor(),
                    # Each statement is planned with its own values, which excludes chunks.
                    prepare_threshold=None,
                )
            except psycopg.Error as error:
                raise self._explained(error, connecting=True) from None
            with closing(connection):
                yield connection
        except psycopg.Error as error:
            raise self._explained(error, connecting=False) from error

    def _cursor(self) -> "type[psycopg.Cursor[Any]]":
        import psycopg

        return psycopg.RawCursor


class MaintenanceLogin(AutocommitLogin):
    """TimescaleDB for what cannot run in a transaction, or must own tables."""

    @contextmanager
    def connect(self) -> "Iterator[psycopg.Connection]":
        """As above; waits for a lock at most a minute, for a statement 15."""
        with super().connect() as connection:
            connection.execute(statement("maintenance/limit_connection"), TIMEOUTS)
            yield connection


class TimescaleMaintainer(MaintenanceLogin):
    """Refreshes aggregates; through the session-mode PgBouncer."""

    title = "TimescaleDB"
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_HOST",
        "port": "TIMESCALE_PORT",
        "password": "COLLECTOR_MAINTAINER_PASSWORD",
        "dbname": "TIMESCALE_DB",
    }
    tls_variables = TimescaleDB.tls_variables
    user: str = "collector_maintainer"
