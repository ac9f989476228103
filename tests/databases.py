"""The databases of the running stack as tests see them: through the poolers, as the platform does,
and straight to the servers, to look and to prepare."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest

from embedded.paths import CHECKOUT
from embedded.stack import Stack
from resources.connections import Databases
from resources.databases import ApplicationDatabase, TimescaleDB, TimescaleMaintainer

Query = Callable[..., list[tuple[Any, ...]]]

_PASSWORDS = {
    "collector_user": "COLLECTOR_DB_PASSWORD",
    "collector_migrator": "COLLECTOR_MIGRATOR_PASSWORD",
    "collector_maintainer": "COLLECTOR_MAINTAINER_PASSWORD",
    "collector_reader": "COLLECTOR_READER_PASSWORD",
    "collector_monitor": "COLLECTOR_MONITOR_PASSWORD",
    "stockeasy_monitor": "APP_DB_MONITOR_PASSWORD",
    "stockeasy_migrator": "APP_DB_MIGRATOR_PASSWORD",
    "stockeasy_collector": "APP_DB_PASSWORD",
    "stockeasy_reader": "APP_DB_READER_PASSWORD",
    "stockeasy_app": "APP_DB_APPLICATION_PASSWORD",
    "dagster": "DAGSTER_DB_PASSWORD",
    "pgbouncer": "PGBOUNCER_AUTH_PASSWORD",
}


@pytest.fixture(scope="session")
def connect_as(stack: Stack) -> Callable[[str], psycopg.Connection]:
    """Connect straight to a role's server, in autocommit mode."""

    def connect_as(role: str) -> psycopg.Connection:
        server = "TIMESCALE" if role.startswith("collector") else "APP_DB"
        database = "TIMESCALE_DB" if role.startswith("collector") else "APP_DB_NAME"
        return psycopg.connect(
            host=stack.environment[f"{server}_SERVER_HOST"],
            port=stack.environment[f"{server}_SERVER_PORT"],
            user=role,
            password=stack.environment[_PASSWORDS[role]],
            dbname=stack.environment[database],
            autocommit=True,
            connect_timeout=10,
        )

    return connect_as


@pytest.fixture
def timescaledb(stack: Stack, clean: None) -> TimescaleDB:
    """TimescaleDB through its PgBouncer, as the collector's user; its tables are empty."""
    return TimescaleDB.from_environment(stack.environment)


@pytest.fixture
def maintainer(stack: Stack, clean: None) -> TimescaleMaintainer:
    """TimescaleDB through its PgBouncer, as who refreshes; its tables are empty."""
    return TimescaleMaintainer.from_environment(stack.environment)


@pytest.fixture
def application_database(stack: Stack, clean: None) -> ApplicationDatabase:
    """The application's PostgreSQL through its PgBouncer; its tables are empty."""
    return ApplicationDatabase.from_environment(stack.environment)


@pytest.fixture
def owners(
    connect_as: Callable[[str], psycopg.Connection],
) -> Iterator[dict[str, psycopg.Connection]]:
    """Connections as the tables' owners, made anew for each test: some tests kill servers."""
    with (
        connect_as("collector_migrator") as timescale,
        connect_as("stockeasy_migrator") as application,
    ):
        yield {"timescale": timescale, "application": application}


@pytest.fixture
def clean(owners: dict[str, psycopg.Connection]) -> None:
    """Empty tables."""
    # Continuous aggregates are truncated like tables.
    owners["timescale"].execute(
        "TRUNCATE stock_prices, daily_bars, supply_demand, market_flows, realtime_prices, "
        "ingest_ledger, quarantine, candles_5m, daily_candles, volume_profile, "
        "aggregate_refreshes, check_results, session_reports"
    )
    owners["application"].execute(
        "TRUNCATE symbols, companies, etf_constituents, ingest_ledger, quarantine, watchlists, "
        "watchlist_items, portfolios, portfolio_transactions"
    )


def _query(connection: psycopg.Connection) -> Query:
    def query(sql: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        cursor = connection.execute(sql, parameters)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []

    return query


@pytest.fixture
def query(clean: None, owners: dict[str, psycopg.Connection]) -> Query:
    """Run SQL on TimescaleDB as the tables' owner."""
    return _query(owners["timescale"])


@pytest.fixture
def databases(
    timescaledb: TimescaleDB, application_database: ApplicationDatabase
) -> Iterator[Databases]:
    """Both behind connections that are held, as in a run."""
    with Databases.held(timescaledb, application_database) as databases:
        yield databases


@pytest.fixture
def freeze(community: None, query: Query) -> Iterator[Callable[[str], None]]:
    """Make TimescaleDB refuse every change of a chunk, until the test ends; Community can."""
    frozen: list[str] = []

    def freeze(chunk: str) -> None:
        query("SELECT _timescaledb_functions.freeze_chunk(%s::regclass)", [chunk])
        frozen.append(chunk)

    yield freeze
    for chunk in frozen:
        query("SELECT _timescaledb_functions.unfreeze_chunk(%s::regclass)", [chunk])


@pytest.fixture
def query_application(clean: None, owners: dict[str, psycopg.Connection]) -> Query:
    """Run SQL on the application's PostgreSQL as the tables' owner."""
    return _query(owners["application"])


@pytest.fixture
def as_superuser(stack: Stack) -> Callable[[str], str]:
    """Run SQL on the TimescaleDB server as superuser."""
    return lambda sql: stack.superuser("timescaledb").script(
        sql, {}, database=stack.environment["TIMESCALE_DB"]
    )


@pytest.fixture
def community(query: Query) -> None:
    """Skip where TimescaleDB is the Apache edition."""
    ((licence,),) = query("SHOW timescaledb.license")
    if licence != "timescale":
        pytest.skip(
            f"needs TimescaleDB Community and this server has the {licence} edition; "
            "--timescale-dsn names another server"
        )


@contextmanager
def configured_instance(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster with our dagster.yaml on the servers of ``stack``, wiped."""
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(CHECKOUT)) as instance:
        instance.wipe()
        yield instance


@pytest.fixture
def instance(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of the stack: its metadata in the application's PostgreSQL."""
    with configured_instance(stack, monkeypatch) as instance:
        yield instance


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Real dumps: MARKET_DATA_DIR, or ../shared/data beside the checkout."""
    directory = CHECKOUT / os.environ.get("MARKET_DATA_DIR", "../shared/data")
    if not (directory / "reference").is_dir():
        pytest.skip(f"needs real dumps and {directory} holds none; MARKET_DATA_DIR names a folder")
    return directory
