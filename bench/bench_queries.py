"""What readers ask, over PgBouncer and warm, beside DuckDB over the same rows in parquet."""

from functools import partial
from pathlib import Path

import duckdb
import psycopg
import pytest

from bench.market import SESSION, Dumps, minute_bars
from resources.calendar import krx_calendar, seoul_now
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.tables import DAILY_BARS, MINUTE_BARS

# Ten years of the whole market, made by the server: each session its 2,700 rows, in order.
_TEN_YEARS = """
    INSERT INTO daily_bars
    SELECT day, lpad(n::text, 6, '0'), 1000 + n, 1010 + n, 990 + n, 1000 + n, 1000 + n,
           1000 * n, 10000000::bigint * n, 10000000
    FROM unnest(%s::date[]) AS day, generate_series(0, %s - 1) AS n"""

QUERIES = {
    "whole-market close of one session": (
        "SELECT symbol, close FROM daily_bars WHERE date = '{day}'",
        20,
    ),
    "one symbol's 10 years of daily bars": (
        "SELECT date, open, high, low, close, volume FROM daily_bars WHERE symbol = '000123'",
        10,
    ),
    "one symbol's minutes of one session": (
        "SELECT time, open, high, low, close, volume FROM stock_prices WHERE symbol = '000123' "
        "AND venue = 'KRX' AND time >= '{day} 00:00+09' AND time < '{day} 24:00+09'",
        5,
    ),
}


@pytest.fixture
def reader(stack) -> psycopg.Connection:
    environment = stack.environment
    with psycopg.connect(
        host=environment["TIMESCALE_HOST"],
        port=environment["TIMESCALE_PORT"],
        user="collector_reader",
        password=environment["COLLECTOR_READER_PASSWORD"],
        dbname=environment["TIMESCALE_DB"],
        autocommit=True,
    ) as connection:
        yield connection


def bench_queries(timescaledb, symbols, query, reader, tmp_path: Path, side_by_side, report):
    sessions = krx_calendar().sessions
    end = sessions.index(SESSION)
    days = list(sessions[end - 2_449 : end + 1])
    query(_TEN_YEARS, [days, symbols])
    minutes = tmp_path / "minutes.parquet"
    minute_bars(symbols).to_parquet(minutes, index=False)
    now = seoul_now()
    attempt = Attempt(MINUTE_BARS, SESSION, None, "bench", "dumps", True, False, now)
    ingest(Dumps(minutes), timescaledb, attempt, source_timeout=300, now=now)
    query("VACUUM ANALYZE daily_bars")
    query("VACUUM ANALYZE stock_prices")

    duck = duckdb.connect(config={"threads": 2})
    duck.execute("SET TimeZone = 'UTC'")
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        for table in (DAILY_BARS, MINUTE_BARS):
            names = ", ".join(table.column_names)
            key = ", ".join(table.key)
            cursor.execute(f"SELECT {names} FROM {table.name} ORDER BY {key}")
            rows = cursor.fetch_arrow_table()
            file = tmp_path / f"{table.name}-all.parquet"
            duck.execute(f"COPY (SELECT * FROM rows) TO '{file}'")
            duck.execute(f"CREATE VIEW {table.name} AS SELECT * FROM '{file}'")
            del rows

    for what, (text, goal) in QUERIES.items():
        asked = text.format(day=SESSION)

        def ask(database, asked=asked):
            return database.execute(asked).fetchall()

        ours, theirs = ask(reader), ask(duck)
        assert len(ours) == len(theirs) > 100
        seconds = side_by_side(
            {
                "ours": (lambda: None, partial(ask, reader)),
                "duckdb": (lambda: None, partial(ask, duck)),
            },
            runs=30,
        )
        ms = {name: taken * 1000 for name, taken in seconds.items()}
        peer = f"DuckDB over parquet {ms['duckdb']:.1f} ms"
        report(f"{what}, ms", f"{ms['ours']:.1f} ms", peer, ms["ours"], f"≤ {goal}", True)
        report(f"{what}, beside DuckDB", f"{ms['ours']:.1f} ms", peer,
               ms["ours"] / ms["duckdb"], "≤ 1")  # fmt: skip
