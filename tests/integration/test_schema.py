"""The migrations against the one source of truth in ``resources.tables``, and who may do what."""

import psycopg
import pytest

from resources.aggregates import AGGREGATES
from resources.tables import DAILY_BARS, MARKET_FLOWS, MINUTE_BARS, SUPPLY_DEMAND, SYMBOLS, Table

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
    "table", [DAILY_BARS, MINUTE_BARS, SUPPLY_DEMAND, MARKET_FLOWS], ids=lambda table: table.name
)
def test_hypertables_have_the_columns_we_load(query, table):
    found = [
        (name, kind.replace(", ", ","), null) for name, kind, null in query(_COLUMNS, [table.name])
    ]
    assert found == shape(table)


def test_symbols_has_the_columns_we_load(query_application):
    found = query_application(_COLUMNS, ["symbols"])
    assert [row for row in found if not row[0].startswith("valid_")] == shape(SYMBOLS)


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


class TestRoles:
    """The start of least privilege: who may not do what."""

    @pytest.mark.parametrize(
        ("role", "statement"),
        [
            ("collector_user", "CREATE TABLE t (a int)"),
            ("collector_user", "DROP TABLE daily_bars"),
            ("collector_user", "TRUNCATE daily_bars"),
            ("collector_user", "UPDATE ingest_ledger SET outcome = 'committed'"),
            ("collector_user", "DELETE FROM ingest_ledger"),
            ("collector_user", "SET ROLE collector_owner"),
            ("collector_user", "DELETE FROM candles_5m"),
            ("collector_user", "DELETE FROM aggregate_refreshes"),
            ("collector_user", "UPDATE quarantine SET row = '{}'"),
            ("collector_reader", "INSERT INTO quarantine (asset) VALUES ('x')"),
            ("collector_reader", "DELETE FROM daily_bars"),
        ],
    )
    def test_forbidden(self, connect_as, role, statement):
        with (
            connect_as(role) as connection,
            pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
            ),
        ):
            connection.execute(statement)

    def test_the_owner_and_superusers_do_not_log_in(self, query):
        ours = query(
            "SELECT rolname FROM pg_roles WHERE (rolname LIKE 'collector%' OR rolname = "
            "'pgbouncer') AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication "
            "OR rolbypassrls)"
        )
        assert ours == []
        assert query("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'collector_owner'") == [
            (False,)
        ]

    def test_schema_public_is_closed(self, query):
        assert query("SELECT has_schema_privilege('public', 'public', 'USAGE')") == [(False,)]

    def test_an_expired_password_is_not_handed_to_the_pooler(self, timescaledb, as_superuser):
        as_superuser("ALTER ROLE collector_user VALID UNTIL '2020-01-01'")
        try:
            from resources.databases import DatabaseError

            with pytest.raises(DatabaseError, match="authentication failed"), timescaledb.connect():
                pass
        finally:
            as_superuser("ALTER ROLE collector_user VALID UNTIL 'infinity'")
        with timescaledb.connect():
            pass
