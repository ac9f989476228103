"""A stack of real servers for the tests, in a temporary directory and on free ports."""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from embedded import processes
from embedded.environment import fresh_environment
from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.root import TESTS, ensure_root
from embedded.stack import Stack

pytest_plugins = ("tests.databases",)

# The same examples in every run, so that a failure is the change's. To find more, now and then:
# --hypothesis-profile search.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("search", max_examples=5_000, database=None, deadline=None)
settings.load_profile("repeatable")

PORT_VARIABLES = (
    "APP_DB_PORT",
    "APP_DB_SERVER_PORT",
    "DAGSTER_UI_PORT",
    "METRICS_PORT",
    "TIMESCALE_PORT",
    "TIMESCALE_SERVER_PORT",
    "VALKEY_PORT",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--timescale-dsn",
        default="",
        metavar="URL",
        help="superuser's URL of another TimescaleDB server (TimescaleDB 2.18 and PostgreSQL 15 "
        "or newer) to be used instead of the embedded one, e.g. postgresql://user:pw@host:5432",
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many stacks as processors, four at most; on a server that is not ours, one."""
    return 1 if config.getoption("--timescale-dsn") else min(os.cpu_count() or 1, 4)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged may be no text (half a surrogate); reports of processes must be."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those the kernel hands out to clients."""
    found: set[int] = set()
    while len(found) < count:
        port = random.randint(20000, 32000)  # noqa: S311 - no secret
        if processes.is_free(port):
            found.add(port)
    return list(found)


def stack_environment(directory: Path) -> dict[str, str]:
    """A whole environment for a stack of its own."""
    ports = map(str, free_ports(len(PORT_VARIABLES)))
    return fresh_environment(CHECKOUT, directory, dict(zip(PORT_VARIABLES, ports, strict=True)))


@pytest.fixture(scope="session")
def tests_root(request: pytest.FixtureRequest) -> Path:
    """The tests' Debian root; where it is built only now, its progress is shown."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    try:
        with capture.global_and_fixture_disabled():
            return ensure_root(TESTS)
    except StackError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """All servers, bootstrapped and migrated, without Dagster's programs."""
    directory = tmp_path_factory.mktemp("stack")
    environment = stack_environment(directory)
    url: str = request.config.getoption("--timescale-dsn")
    if not url:
        with running(Stack(directory, environment)) as embedded:
            yield embedded
        return
    with (
        borrowed_server(url, environment["TIMESCALE_DB"]),
        running(Stack(directory, environment, timescale_url=url)) as foreign,
    ):
        yield foreign


@contextmanager
def running(stack: Stack, dagster: bool = False) -> Iterator[Stack]:
    """The stack started, without Dagster's programs or with them, and stopped at the end whatever
    happens."""
    try:
        stack.start(dagster=dagster)
        yield stack
    finally:
        stack.stop()


@contextmanager
def borrowed_server(url: str, database: str) -> Iterator[None]:
    """Make sure that the tests harm nothing on somebody's server, and leave no trace on it."""
    with psycopg.connect(url, dbname="postgres", autocommit=True, connect_timeout=10) as server:
        _refuse_unfit(server, database)
        passwords = _passwords(server)
        schemas = _names(server, "SELECT nspname FROM pg_namespace")
        public = """SELECT has_database_privilege('public', 'postgres', 'CONNECT'),
                           has_database_privilege('public', 'postgres', 'TEMPORARY'),
                           has_schema_privilege('public', 'public', 'USAGE')"""
        before = server.execute(public).fetchone()
    try:
        yield
    finally:
        with psycopg.connect(url, dbname="postgres", autocommit=True, connect_timeout=10) as server:
            _execute(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", database)
            for name in _names(server, "SELECT nspname FROM pg_namespace") - schemas:
                _execute(server, "DROP SCHEMA {} CASCADE", name)
            now = _passwords(server)
            for name in now.keys() - passwords.keys():
                _execute(server, "DROP OWNED BY {}", name)
                _execute(server, "DROP ROLE {}", name)
            # Roles that were there already got passwords of ours: give them theirs back.
            for name, password in passwords.items():
                if now.get(name) != password:
                    _execute(server, "ALTER ROLE {} PASSWORD {}", name, password)
            # The bootstrap closes the database postgres to the public.
            grants = (
                "GRANT CONNECT ON DATABASE postgres TO PUBLIC",
                "GRANT TEMPORARY ON DATABASE postgres TO PUBLIC",
                "GRANT USAGE ON SCHEMA public TO PUBLIC",
            )
            for grant, had in zip(grants, before or (), strict=True):
                if had:
                    server.execute(grant)


def _refuse_unfit(server: psycopg.Connection, database: str) -> None:
    row = server.execute(
        """SELECT current_setting('server_version_num')::int,
                  current_setting('is_superuser') = 'on',
                  (SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'),
                  EXISTS (SELECT FROM pg_database WHERE datname = %s)""",
        (database,),
    ).fetchone()
    assert row is not None
    version, is_superuser, extension, has_database = row
    problem = ""
    if version < 150000:
        problem = f"it is PostgreSQL {version // 10000}; 15 or newer is needed"
    elif not is_superuser:
        problem = "its user is no superuser; the tests make roles and databases"
    elif extension is None or tuple(map(int, extension.split(".")[:2])) < (2, 18):
        problem = f"its TimescaleDB is {extension}; 2.18 or newer is needed"
    elif has_database:
        problem = f"it already holds a database {database}, which the tests would overwrite"
    if problem:
        pytest.exit(f"--timescale-dsn: this server cannot be used: {problem}", returncode=4)


def _passwords(server: psycopg.Connection) -> dict[str, str | None]:
    rows = server.execute("SELECT rolname, rolpassword FROM pg_authid")
    return {row[0]: row[1] for row in rows}


def _names(server: psycopg.Connection, query: LiteralString) -> set[str]:
    return {row[0] for row in server.execute(query)}


def _execute(
    server: psycopg.Connection, statement: LiteralString, name: str, *literals: str | None
) -> None:
    parts = [sql.Identifier(name), *(sql.Literal(literal) for literal in literals)]
    server.execute(sql.SQL(statement).format(*parts))
