"""Who measures: roles that read statistics and a few tables, and never write.

Their limits (time per statement, read only) are the roles' own, set by the bootstrap: a session
setting would stay behind in a pooler. A connection that cannot be made is given up after seconds.
"""

from typing import TYPE_CHECKING, Any

from resources.databases import ApplicationDatabase, AutocommitLogin, TimescaleDB

if TYPE_CHECKING:
    import psycopg

_CONNECT_SECONDS = "3"


class Monitor(AutocommitLogin):
    """A database, for one who measures it."""

    def _parameters(self) -> dict[str, Any]:
        said = {"connect_timeout": _CONNECT_SECONDS, "application_name": "stock_assets_monitor"}
        return super()._parameters() | said


class TimescaleMonitor(Monitor):
    """TimescaleDB through its PgBouncer."""

    title = "TimescaleDB"
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_HOST",
        "port": "TIMESCALE_PORT",
        "password": "COLLECTOR_MONITOR_PASSWORD",
        "dbname": "TIMESCALE_DB",
    }
    tls_variables = TimescaleDB.tls_variables
    user: str = "collector_monitor"


class ApplicationMonitor(Monitor):
    """The application's PostgreSQL through its PgBouncer."""

    title = "application PostgreSQL"
    variables = {  # noqa: RUF012
        "host": "APP_DB_HOST",
        "port": "APP_DB_PORT",
        "password": "APP_DB_MONITOR_PASSWORD",
        "dbname": "APP_DB_NAME",
    }
    tls_variables = ApplicationDatabase.tls_variables
    user: str = "stockeasy_monitor"


class DagsterMonitor(ApplicationMonitor):
    """Dagster's database on the same server."""

    title = "Dagster's storage"
    variables = {**ApplicationMonitor.variables, "dbname": "DAGSTER_DB_NAME"}  # noqa: RUF012


class _Console(Monitor):
    """A PgBouncer's admin console, which speaks the simple protocol only."""

    user: str = "pgbouncer_stats"
    dbname: str = "pgbouncer"

    def _cursor(self) -> "type[psycopg.Cursor[Any]]":
        import psycopg

        return psycopg.ClientCursor


class TimescaleConsole(_Console):
    """PgBouncer-TS' console."""

    title = "PgBouncer-TS"
    variables = {  # noqa: RUF012
        "host": "TIMESCALE_HOST",
        "port": "TIMESCALE_PORT",
        "password": "PGBOUNCER_STATS_PASSWORD",
    }
    tls_variables = TimescaleDB.tls_variables


class ApplicationConsole(_Console):
    """The console of the application's PgBouncer."""

    title = "PgBouncer"
    variables = {  # noqa: RUF012
        "host": "APP_DB_HOST",
        "port": "APP_DB_PORT",
        "password": "PGBOUNCER_STATS_PASSWORD",
    }
    tls_variables = ApplicationDatabase.tls_variables
