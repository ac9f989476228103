"""The migrations against the one source of truth in ``resources.tables``."""

import pytest

from resources.aggregates import AGGREGATES
from resources.tables import TABLES, Table

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_TYPES = {"timestamptz": "timestamp with time zone"}
# What these are depends on the edition: tests/integration/aggregates.
AGGREGATE_NAMES = [aggregate.name for aggregate in AGGREGATES]


def shape(table: Table) -> list[tuple[str, str, bool]]:
    return [
        (column.name, _TYPES.get(column.kind, column.kind), column.nullable)
        for column in table.columns
    ]


@pytest.mark.parametrize(
    "table",
    [table for table in TABLES.values() if table.database == "timescaledb"],
    ids=lambda table: table.name,
)
def test_hypertables_have_the_columns_we_load(query, table):
    found = [
        (name, kind.replace(", ", ","), null) for name, kind, null in query(_COLUMNS, [table.name])
    ]
    assert found == shape(table)


@pytest.mark.parametrize(
    "table",
    [table for table in TABLES.values() if table.database == "application_database"],
    ids=lambda table: table.name,
)
def test_the_applications_tables_have_the_columns_we_load(query_application, table):
    found = [
        (name, kind, null)
        for name, kind, null in query_application(_COLUMNS, [table.name])
        if not name.startswith("valid_")
    ]
    assert found == shape(table)
    ((key,),) = query_application(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'p' AND conrelid = %s::regclass",
        [table.name],
    )
    dated = ("valid_from",) if table.dated else ()
    assert key == f"PRIMARY KEY ({', '.join((*table.key, *dated))})"


def test_keys_and_chunks(query):
    keys = query(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'p' AND connamespace = 'public'::regnamespace "
        "AND conrelid::regclass::text <> ALL (%s) ORDER BY 1",
        [AGGREGATE_NAMES],
    )
    assert {name: text.removeprefix("PRIMARY KEY ") for name, text in keys} == {
        "aggregate_refreshes": "(aggregate, session)",
        "check_results": "(asset, session, rule)",
        "daily_bars": "(symbol, date)",
        "ingest_ledger": "(id)",
        "market_flows": "(market, date)",
        "quarantine": "(id)",
        "realtime_prices": '(symbol, "time", seq)',
        "schema_migrations": "(version)",
        "session_reports": "(session)",
        "stock_prices": '(symbol, venue, "time")',
        "supply_demand": "(symbol, date)",
    }
    chunks = query(
        "SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions "
        "WHERE hypertable_schema = 'public' AND hypertable_name <> ALL (%s)",
        [AGGREGATE_NAMES],
    )
    assert {name: interval.days for name, interval in chunks} == {
        "daily_bars": 365,
        "market_flows": 365,
        "realtime_prices": 1,
        "stock_prices": 1,
        "supply_demand": 365,
    }


def test_everything_belongs_to_the_owner(query, query_application):
    owners = (
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S', 'i', 'v')"
    )
    assert query(owners) == [("collector_owner",)]
    assert ("stockeasy_owner",) in query_application(owners)
