"""Keys, indexes, prices and chunks: what the choices of the schema cost beside their alternatives.

Every alternative is a table of its own with the same rows, written and read by turns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest

from bench.market import SESSION, minute_bars
from resources.calendar import krx_calendar

_COLUMNS = """time timestamptz NOT NULL, symbol text NOT NULL, venue text NOT NULL,
    open {price} NOT NULL, high {price} NOT NULL, low {price} NOT NULL, close {price} NOT NULL,
    volume bigint NOT NULL, trading_value bigint"""
_OURS = "symbol, venue, time"


@dataclass(frozen=True)
class Choice:
    """A way to store minute bars; the defaults are ours."""

    name: str
    key: str = _OURS
    price: str = "numeric(12,2)"
    index: str = ""
    hypertable: bool = True
    by_time: bool = False
    """Whether rows arrive minute by minute instead of symbol by symbol."""


CHOICES = (
    Choice("ours"),
    Choice("rows_by_minute", by_time=True),
    Choice("key_by_time", key="time, symbol, venue"),
    Choice("index_on_time", index="time"),
    Choice("float_prices", price="double precision"),
    Choice("plain_table", hypertable=False),
    Choice("no_key", key=""),
)


@pytest.fixture
def owner(connect_as) -> psycopg.Connection:
    with connect_as("collector_migrator") as owner:
        owner.execute("CREATE SCHEMA storage")
        owner.execute("SET search_path = storage, public")
        try:
            yield owner
        finally:
            owner.execute("DROP SCHEMA storage CASCADE")


def make(owner: psycopg.Connection, choice: Choice) -> None:
    key = f", PRIMARY KEY ({choice.key})" if choice.key else ""
    owner.execute(f"DROP TABLE IF EXISTS {choice.name}")
    columns = _COLUMNS.format(price=choice.price)
    owner.execute(f"CREATE TABLE {choice.name} ({columns}{key})")
    if choice.hypertable:
        owner.execute(
            f"SELECT create_hypertable('{choice.name}', by_range('time', INTERVAL '1 day'), "
            "create_default_indexes => false)"
        )
    if choice.index:
        owner.execute(f"CREATE INDEX ON {choice.name} ({choice.index})")


def copy(owner: psycopg.Connection, table: str, text: bytes) -> None:
    with owner.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
        for start in range(0, len(text), 1 << 20):
            copy.write(text[start : start + (1 << 20)])


def bench_minute_bars_stored_otherwise(owner, symbols, side_by_side, report):
    frame = minute_bars(symbols)
    by_symbol = frame.to_csv(index=False, header=False).encode()
    by_time = frame.sort_values("time", kind="stable").to_csv(index=False, header=False).encode()

    def deletion(table: str) -> Callable[[], None]:
        day = f"time >= '{SESSION} 00:00+09' AND time < '{SESSION} 24:00+09'"
        return lambda: owner.execute(f"DELETE FROM {table} WHERE {day}")

    works, sizes = {}, {}
    for choice in CHOICES:
        text = by_time if choice.by_time else by_symbol
        works[choice.name] = (
            lambda choice=choice: make(owner, choice),
            lambda choice=choice, text=text: copy(owner, choice.name, text),
        )
    copied = side_by_side(works, runs=3)
    reads, days = {}, f"time >= '{SESSION} 00:00+09' AND time < '{SESSION} 24:00+09'"
    for choice in CHOICES:
        owner.execute(f"VACUUM ANALYZE {choice.name}")
        size = f"SELECT coalesce(hypertable_size('{choice.name}'), 0)"
        if not choice.hypertable:
            size = f"SELECT pg_total_relation_size('{choice.name}')"
        (sizes[choice.name],) = owner.execute(size).fetchone()
        query = f"SELECT * FROM {choice.name} WHERE symbol = '000123' AND venue = 'KRX' AND {days}"
        reads[choice.name] = (
            lambda: None,
            lambda query=query: owner.execute(query).fetchall(),
        )
    read = side_by_side(reads, runs=15)
    deleted = side_by_side(
        {choice.name: (lambda: None, deletion(choice.name)) for choice in CHOICES}, runs=1
    )
    for choice in CHOICES[1:]:
        for what, found, unit, scale in (
            ("COPY", copied, "s", 1),
            ("DELETE", deleted, "s", 1),
            ("a symbol's session", read, "ms", 1000),
            ("size", sizes, "MB", 1e-6),
        ):
            ours, theirs = found["ours"] * scale, found[choice.name] * scale
            report(f"storage, {choice.name}: {what}", f"{theirs:.2f} {unit}",
                   f"ours {ours:.2f} {unit}", theirs / ours, "≥ 0")  # fmt: skip


def bench_daily_bars_in_other_chunks(owner, symbols, side_by_side, report):
    """Ten years of the whole market, in chunks of 30 days, of a year (ours) and of ten."""
    sessions = krx_calendar().sessions
    end = sessions.index(SESSION)
    days = list(sessions[end - 2_449 : end + 1])
    tables = {
        "ours": 365,
        "chunks_of_30_days": 30,
        "chunks_of_10_years": 3650,
        "no_date_index": 365,
    }
    for table, interval in tables.items():
        owner.execute(f"CREATE TABLE {table} (LIKE public.daily_bars INCLUDING ALL)")
        owner.execute(f"SELECT create_hypertable('{table}', by_range('date', INTERVAL "
                      f"'{interval} days'), create_default_indexes => false)")  # fmt: skip
        if table == "no_date_index":
            owner.execute("DROP INDEX no_date_index_date_idx")
        owner.execute(
            f"""INSERT INTO {table}
                SELECT day, lpad(n::text, 6, '0'), 1000 + n, 1010 + n, 990 + n, 1000 + n, 1000 + n,
                       1000 * n, 10000000::bigint * n, 10000000
                FROM unnest(%s::date[]) AS day, generate_series(0, %s - 1) AS n""",
            [days, symbols],
        )
        owner.execute(f"VACUUM ANALYZE {table}")
    recent = f"symbol = '000123' AND date > date '{SESSION}' - 30"
    asked = {
        "close of a session": "SELECT symbol, close FROM {} WHERE date = '{day}'",
        "a symbol's ten years": "SELECT * FROM {} WHERE symbol = '000123'",
        "a symbol's month": "SELECT close FROM {} WHERE " + recent,
    }

    def replace(table: str) -> None:
        with owner.transaction():
            owner.execute(f"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {table} "
                          f"WHERE date = '{days[1200]}'")  # fmt: skip
            owner.execute(f"DELETE FROM {table} WHERE date = '{days[1200]}'")
            owner.execute(f"INSERT INTO {table} SELECT * FROM kept")

    found = {
        what: side_by_side(
            {
                table: (
                    lambda: None,
                    lambda text=text, table=table: owner.execute(
                        text.format(table, day=SESSION)
                    ).fetchall(),
                )
                for table in tables
            },
            runs=15,
        )
        for what, text in asked.items()
    }
    found["replacing a session"] = side_by_side(
        {table: (lambda: None, lambda table=table: replace(table)) for table in tables}, runs=7
    )
    for what, seconds in found.items():
        for table in list(tables)[1:]:
            report(f"storage, {table}: {what}", f"{seconds[table] * 1000:.1f} ms",
                   f"ours {seconds['ours'] * 1000:.1f} ms",
                   seconds[table] / seconds["ours"], "≥ 0")  # fmt: skip
