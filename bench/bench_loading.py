"""A session of the whole market's minute bars, from parquet on disk to committed, beside psql's
\\copy of the same rows and the other usual ways."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from bench.market import SESSION, Dumps, minute_bars, write_csv
from embedded import sandbox
from embedded.paths import CHECKOUT
from resources.calendar import seoul_now
from resources.canonical import canonical
from resources.compression import compress, uncompressed_chunks
from resources.hypertables import HYPERTABLES
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.tables import MINUTE_BARS
from resources.validation import split

COLUMNS = ", ".join(MINUTE_BARS.column_names)
SAMPLE = 10_000

# What a run does, in a process of its own, and the most memory it ever had. (What getrusage says
# begins with what the process had that started it.)
_IN_A_PROCESS = """
import os, sys
from pathlib import Path
from bench.bench_loading import attempt
from bench.market import Dumps
from resources.calendar import seoul_now
from resources.databases import TimescaleDB
from resources.ingestion import ingest
ingest(Dumps(sys.argv[1]), TimescaleDB.from_environment(os.environ), attempt(),
       source_timeout=300, now=seoul_now())
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) * 1024)
"""


def attempt() -> Attempt:
    return Attempt(MINUTE_BARS, SESSION, None, "bench", "dumps", True, False, seoul_now())


class Minutes:
    """The session's rows, on disk in both forms and in memory."""

    def __init__(self, directory: Path, symbols: int) -> None:
        self.frame = minute_bars(symbols)
        self.directory = directory
        self.parquet = directory / "minutes.parquet"
        self.frame.to_parquet(self.parquet, index=False)
        good = split(self.frame, MINUTE_BARS, SESSION, seoul_now()).good
        self.rows = canonical(good, MINUTE_BARS)
        write_csv(self.rows, directory / "minutes.csv")

    def __str__(self) -> str:
        return f"{len(self.frame):,} rows"


@pytest.fixture(scope="module")
def minutes(tmp_path_factory, symbols) -> Minutes:
    return Minutes(tmp_path_factory.mktemp("minutes"), symbols)


@pytest.fixture
def ours(timescaledb, minutes) -> Callable[[], object]:
    """Load the session."""
    source = Dumps(minutes.parquet)
    return lambda: ingest(source, timescaledb, attempt(), source_timeout=300, now=seoul_now())


@pytest.fixture
def copy(stack, minutes, timescaledb) -> Callable[[], object]:
    """psql's \\copy of the same rows from CSV, through the same pooler."""
    connection = {
        "PGHOST": timescaledb.host,
        "PGPORT": str(timescaledb.port),
        "PGUSER": timescaledb.user,
        "PGPASSWORD": timescaledb.password,
        "PGDATABASE": timescaledb.dbname,
    }
    text = f"\\copy stock_prices ({COLUMNS}) FROM '/data/minutes.csv' (FORMAT csv, HEADER)"

    def copy() -> None:
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", text]
        result = sandbox.run(
            stack.root, minutes.directory, command, environment=connection, timeout=600
        )
        assert result.returncode == 0, result.stderr

    return copy


@pytest.fixture
def empty(query) -> Callable[[], object]:
    def empty() -> None:
        query("TRUNCATE stock_prices")
        query("TRUNCATE ingest_ledger, quarantine")

    return empty


@pytest.mark.quick
def bench_a_session_of_minute_bars(ours, copy, empty, minutes, side_by_side, report, quick):
    def judge() -> None:
        split(minutes.frame, MINUTE_BARS, SESSION, seoul_now())

    seconds = side_by_side(
        {
            "copy": (empty, copy),
            "first": (empty, ours),
            "again": (lambda: None, ours),
            "validation": (lambda: None, judge),
        },
        runs=3 if quick else 5,
    )
    peer = f"\\copy of {minutes} {seconds['copy']:.2f} s"
    for what, work, goal in (
        ("first load of a session", "first", "≤ 1.4"),
        ("loading a session again", "again", "≤ 2.2"),
        ("validation of a session", "validation", "≤ 0.5"),
    ):
        report(what, f"{seconds[work]:.2f} s", peer, seconds[work] / seconds["copy"], goal)


@pytest.mark.quick
def bench_row_by_row_ways(ours, empty, minutes, connect_as, side_by_side, report):
    """On a sample, scaled: the whole session takes them minutes."""
    sample = minutes.frame.sample(SAMPLE, random_state=0)
    scale = len(minutes.frame) / len(sample)
    rows = [tuple(row) for row in sample.astype(object).itertuples(index=False)]
    places = ", ".join(["%s"] * len(MINUTE_BARS.columns))
    values = [c for c in MINUTE_BARS.column_names if c not in MINUTE_BARS.key]
    upsert = (
        f"INSERT INTO stock_prices ({COLUMNS}) VALUES ({places}) "
        f"ON CONFLICT ({', '.join(MINUTE_BARS.key)}) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in values)
    )
    with connect_as("collector_migrator") as owner:
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(**_address(owner))
        )

        def executemany() -> None:
            with owner.transaction(), owner.cursor() as cursor:
                cursor.executemany(upsert, rows)

        def to_sql() -> None:
            sample.to_sql("stock_prices", engine, if_exists="append", index=False, method="multi",
                          chunksize=1_000)  # fmt: skip

        seconds = side_by_side(
            {"ours": (empty, ours), "executemany": (empty, executemany), "to_sql": (empty, to_sql)},
            runs=4,
        )
        engine.dispose()
    for what, work in (("executemany upsert", "executemany"), ("pandas to_sql", "to_sql")):
        took = seconds[work] * scale
        report(
            f"first load, how often faster than {what}",
            f"{seconds['ours']:.2f} s",
            f"{what} {took:.0f} s (scaled from {SAMPLE:,} rows)",
            took / seconds["ours"],
            "≥ 20",
        )


def _address(connection: psycopg.Connection) -> dict[str, object]:
    info = connection.info
    return {"host": info.host, "port": info.port, "user": info.user, "dbname": info.dbname,
            "password": info.password}  # fmt: skip


def bench_memory_of_a_session(stack, minutes, timescaledb, empty, report):
    empty()
    variables = {**stack.environment, "PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS, str(minutes.parquet)],
        env=variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak, arrow = int(done.stdout), minutes.rows.nbytes
    report(
        "peak memory of a session's load",
        f"{peak / 1e6:.0f} MB, interpreter and all",
        f"Arrow {arrow / 1e6:.0f} MB",
        peak / arrow,
        "≤ 6",
    )


@pytest.mark.usefixtures("community")
def bench_a_compressed_session(ours, copy, empty, maintainer, minutes, side_by_side, report):
    (table,) = (table for table in HYPERTABLES if table.name == MINUTE_BARS.name)

    def compressed() -> None:
        empty()
        ours()
        for chunk in uncompressed_chunks(maintainer, table, seoul_now()):
            compress(maintainer, table, chunk)

    seconds = side_by_side({"copy": (empty, copy), "compressed": (compressed, ours)})
    report(
        "loading a compressed session again",
        f"{seconds['compressed']:.2f} s",
        f"\\copy of {minutes} into an empty chunk {seconds['copy']:.2f} s",
        seconds["compressed"] / seconds["copy"],
        "≤ 3",
    )


@pytest.mark.quick
def bench_a_session_of_bad_rows(ours, copy, empty, minutes, tmp_path, timescaledb, report):
    """Every row breaks a rule, and every one is kept in the quarantine."""
    bad = tmp_path / "bad.parquet"
    minutes.frame.assign(volume=-1).to_parquet(bad, index=False)
    empty()
    began = time.perf_counter()
    with pytest.raises(Exception, match="rows were refused"):
        ingest(Dumps(bad), timescaledb, attempt(), source_timeout=300, now=seoul_now())
    took = time.perf_counter() - began
    empty()
    began = time.perf_counter()
    copy()
    copied = time.perf_counter() - began
    report(
        "a session in which every row is refused",
        f"{took:.1f} s",
        f"\\copy of as many good ones {copied:.2f} s",
        took / copied,
        "≤ 10",
    )
