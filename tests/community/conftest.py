"""The Community engine in place of a stack, under the names that stand for a stack elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg
import psycopg
import pytest

from embedded.errors import StackError
from tests.community.engine import Engine
from tests.community.installation import ensure_packages
from tests.community.seeding import TimescaleDBWithoutCopy
from tests.conftest import stack_environment
from tests.databases import Query


@pytest.fixture(scope="session")
def start_engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Engine]]:
    """Start an engine without roles or tables; all of them end with the tests."""
    terminal = request.config.get_terminal_writer()
    problem = ""
    try:
        packages = ensure_packages(lambda line: terminal.line(f"\n{line}"))
    except StackError as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)
    started: list[Engine] = []

    def start_engine() -> Engine:
        directory = tmp_path_factory.mktemp("community")
        environment = stack_environment(directory)
        # There is no pooler before it, and it speaks no TLS.
        for name in ("HOST", "PORT"):
            environment[f"TIMESCALE_SERVER_{name}"] = environment[f"TIMESCALE_{name}"]
        for server in ("TIMESCALE", "TIMESCALE_SERVER"):
            environment |= {f"{server}_SSLMODE": "disable", f"{server}_SSLROOTCERT": ""}
        started.append(Engine(packages, environment, directory))
        started[-1].wait_until_ready()
        return started[-1]

    try:
        yield start_engine
    finally:
        for engine in started:
            engine.stop()


@pytest.fixture(scope="session")
def prepared_engine(start_engine: Callable[[], Engine]) -> Engine:
    """An engine with the platform's roles, tables and aggregates."""
    engine = start_engine()
    engine.prepare()
    return engine


@pytest.fixture
def stack(prepared_engine: Engine) -> Iterator[Engine]:
    """The engine, alive before the test and after it."""
    prepared_engine.require_alive()
    yield prepared_engine
    prepared_engine.require_alive()


@pytest.fixture
def connect_as(stack: Engine) -> Callable[[str], psycopg.Connection]:
    """Connect as a role, in autocommit mode."""
    return stack.connect


@pytest.fixture
def clean(stack: Engine) -> None:
    """Empty tables."""
    with stack.connect("collector_migrator") as connection:
        connection.execute(
            "TRUNCATE stock_prices, daily_bars, supply_demand, market_flows, ingest_ledger, "
            "quarantine, candles_5m, daily_candles, volume_profile, aggregate_refreshes"
        )


@pytest.fixture
def query(stack: Engine, clean: None) -> Query:
    """Run SQL as the tables' owner, each time on a connection of its own."""

    def query(sql: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        with stack.connect("collector_migrator") as connection:
            cursor = connection.execute(sql, parameters)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    return query


@pytest.fixture
def timescaledb(stack: Engine, clean: None) -> TimescaleDBWithoutCopy:
    """TimescaleDB as the collector's user; its tables are empty."""
    return TimescaleDBWithoutCopy.from_environment(stack.environment)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster with its metadata in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
