"""What encryption costs a load: the same rows over the same way, once encrypted on both legs and
once on none."""

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from psycopg.sql import SQL, Identifier

from embedded import processes
from embedded.stack import Stack
from resources.databases import TimescaleDB
from tests.conftest import free_ports
from tests.integration.access import eventually

ROWS = 400_000


@pytest.fixture
def plain(stack: Stack, clean: None, tmp_path) -> Iterator[TimescaleDB]:
    """TimescaleDB through a PgBouncer like the stack's, without encryption on either leg."""
    if stack.timescale_url:
        pytest.skip("another server's own rules; without --timescale-dsn it runs")
    rules = stack.program("timescaledb").directory / "pg_hba.conf"
    strict = rules.read_text()
    original = stack.program("pgbouncer-ts")
    (port,) = free_ports(1)
    for name, content in original.files.items():
        text = content.replace(f"listen_port = {original.port}", f"listen_port = {port}")
        text = re.sub(r"(?m)^((?:client|server)_tls_sslmode) = .*", r"\1 = disable", text)
        (tmp_path / name).write_text(text)
    (tmp_path / "authorities.crt").write_bytes(
        (original.directory / "authorities.crt").read_bytes()
    )
    rules.write_text(f"hostnossl all all 127.0.0.1/32 scram-sha-256\n{strict}")
    os.kill(stack.process("timescaledb"), signal.SIGHUP)
    # fmt: off
    pooler = subprocess.Popen([
        sys.executable, "-m", "embedded.foreground",
        "--root", str(stack.root), "--data", str(tmp_path), "--stop-signal", "SIGINT", "--",
        "pgbouncer", "/data/pgbouncer.ini",
    ])
    # fmt: on
    try:
        eventually(lambda: not processes.is_free(port))
        yield TimescaleDB.from_environment(
            {**stack.environment, "TIMESCALE_PORT": str(port), "TIMESCALE_SSLMODE": "disable"}
        )
    finally:
        pooler.terminate()
        pooler.wait(20)
        rules.write_text(strict)
        os.kill(stack.process("timescaledb"), signal.SIGHUP)


@pytest.fixture
def temporary_tables(stack: Stack, query) -> Iterator[None]:
    """The collector may make temporary tables, which is no right of its."""
    names = (Identifier(stack.environment["TIMESCALE_DB"]), Identifier("collector_user"))
    query(SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(*names).as_string())
    yield
    query(SQL("REVOKE TEMPORARY ON DATABASE {} FROM {}").format(*names).as_string())


def bench_encryption(timescaledb, plain, temporary_tables, report):
    rows = pa.table({"at": pa.array(range(ROWS)), "price": pa.array([1.5] * ROWS)})

    def load(database: TimescaleDB) -> None:
        with database.connect() as connection, connection.cursor() as cursor:
            # A temporary table has no log to write: what is left is the way to it.
            cursor.execute("CREATE TEMPORARY TABLE way (at bigint, price double precision)")
            cursor.adbc_ingest("way", rows, mode="append", temporary=True)

    def connect(database: TimescaleDB) -> None:
        for _ in range(20):
            with database.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchall()

    for what, work, goal in (
        (f"{ROWS:,} rows by COPY", load, "≤ 1.5"),
        ("20 connections", connect, "≤ 4"),
    ):
        encrypted, without = alternating(work, timescaledb, plain)
        report(
            f"encryption of {what}",
            f"encrypted {encrypted * 1000:.0f} ms",
            f"plain {without * 1000:.0f} ms",
            encrypted / without,
            goal,
        )


def alternating(
    work: Callable[[TimescaleDB], None], *databases: TimescaleDB, runs: int = 9
) -> list[float]:
    """Medians, taken in turn, so that what else the machine does disturbs both alike."""
    seconds: list[list[float]] = [[] for _ in databases]
    for _ in range(runs + 1):
        for taken, database in zip(seconds, databases, strict=True):
            began = time.perf_counter()
            work(database)
            taken.append(time.perf_counter() - began)
    return [statistics.median(taken[1:]) for taken in seconds]
