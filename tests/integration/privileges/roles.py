"""Who logs in, and the statements each may and may not run."""

from __future__ import annotations

import psycopg

DENIED = psycopg.errors.InsufficientPrivilege
_READ_ONLY = psycopg.errors.ReadOnlySqlTransaction

# Variables of their passwords.
TIMESCALE = {
    "collector_user": "COLLECTOR_DB_PASSWORD",
    "collector_reader": "COLLECTOR_READER_PASSWORD",
    "collector_maintainer": "COLLECTOR_MAINTAINER_PASSWORD",
    "collector_migrator": "COLLECTOR_MIGRATOR_PASSWORD",
}
APPLICATION = {
    "stockeasy_collector": "APP_DB_PASSWORD",
    "stockeasy_reader": "APP_DB_READER_PASSWORD",
    "stockeasy_app": "APP_DB_APPLICATION_PASSWORD",
    "stockeasy_migrator": "APP_DB_MIGRATOR_PASSWORD",
    "dagster": "DAGSTER_DB_PASSWORD",
}


def is_refused(connection: psycopg.Connection, statement: str) -> bool:
    """Whether the statement fails for want of a right; whatever it did is rolled back."""
    try:
        connection.execute(statement)  # type: ignore[call-overload]
    except (DENIED, _READ_ONLY):
        return True
    finally:
        connection.rollback()
    return False


LEDGER_LINE = (
    "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, outcome, "
    "rows_loaded, rows_replaced, rows_quarantined, error, started_at) "
    "VALUES ('r', 'a', '2025-01-02', 's', true, false, 'failed', 0, 0, 0, 'e', now())"
)
_QUARANTINE = (
    "INSERT INTO quarantine (asset, session, source, run_id, reason, row) "
    "VALUES ('a', '2025-01-02', 's', 'r', 'x', '{}')"
)
_BAR = "INSERT INTO daily_bars VALUES ('2025-01-02', '005930', 1, 1, 1, 1, 1)"
_FUNCTION = "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1"
_READ_FILE = "SELECT pg_read_file('PG_VERSION')"
_PROGRAM = "COPY (SELECT 1) TO PROGRAM 'true'"

ALLOWED: dict[str, list[str]] = {
    "collector_user": [
        *("SELECT * FROM stock_prices", "SELECT * FROM daily_bars", "SELECT * FROM supply_demand"),
        *(_BAR, "DELETE FROM daily_bars", "DELETE FROM stock_prices", "DELETE FROM supply_demand"),
        *(LEDGER_LINE, "SELECT * FROM ingest_ledger"),
        *(_QUARANTINE, "SELECT * FROM quarantine", "DELETE FROM quarantine"),
    ],
    "collector_reader": [
        *("SELECT * FROM stock_prices", "SELECT * FROM daily_bars", "SELECT * FROM candles_5m"),
        *("SELECT * FROM ingest_ledger", "SELECT * FROM quarantine"),
    ],
    "collector_maintainer": [
        "SELECT * FROM stock_prices",
        "SELECT drop_chunks('stock_prices', older_than => '2000-01-01'::timestamptz)",
        "INSERT INTO aggregate_refreshes SELECT * FROM aggregate_refreshes",
        "SELECT * FROM ingest_ledger",
    ],
    "collector_migrator": ["CREATE TABLE t (a int)", "DROP TABLE quarantine", _FUNCTION],
    "stockeasy_collector": [
        "SELECT * FROM symbols_on('2025-01-02')",
        "SELECT * FROM companies_on('2025-01-02')",
        "INSERT INTO symbols VALUES ('005930', '2025-01-02', NULL, 'n', 'KOSPI')",
        "INSERT INTO companies VALUES ('005930', '2025-01-02', NULL, 'n', 'KOSPI')",
        "DELETE FROM symbols",
        "DELETE FROM companies",
        "INSERT INTO etf_constituents VALUES ('2025-01-02', '152100', '005930', 'n', 1)",
        "DELETE FROM etf_constituents",
        *(LEDGER_LINE, _QUARANTINE, "DELETE FROM quarantine"),
        "CREATE TEMPORARY TABLE incoming (a int) ON COMMIT DROP",
    ],
    "stockeasy_reader": [
        "SELECT * FROM symbols_on('2025-01-02')",
        "SELECT * FROM companies_on('2025-01-02')",
        "SELECT * FROM etf_constituents",
        "SELECT * FROM ingest_ledger",
    ],
    "stockeasy_app": [
        "SELECT * FROM symbols_on('2025-01-02')",
        "SELECT * FROM companies_on('2025-01-02')",
        "SELECT * FROM etf_constituents",
        "INSERT INTO watchlists (owner, name) VALUES ('o', 'n')",
        "UPDATE watchlists SET name = 'm'",
        "DELETE FROM watchlists",
        "SELECT * FROM watchlist_items",
        "INSERT INTO portfolios (owner, name) VALUES ('o', 'n')",
        "DELETE FROM portfolios",
        "SELECT * FROM portfolio_positions",
    ],
    "stockeasy_migrator": ["CREATE TABLE t (a int)", "DROP TABLE quarantine", _FUNCTION],
    "dagster": ["CREATE SCHEMA s"],
}

NOBODY = [_READ_FILE, _PROGRAM, "CREATE ROLE r", "SELECT * FROM pg_authid"]
NO_DDL = [
    "CREATE TABLE public.t (a int)",
    "CREATE SCHEMA s",
    _FUNCTION.replace("f()", "public.f()"),
]

FORBIDDEN: dict[str, list[str]] = {
    "collector_user": [
        *NO_DDL,
        *("DROP TABLE daily_bars", "TRUNCATE daily_bars", "ALTER TABLE daily_bars ADD a int"),
        *("UPDATE ingest_ledger SET outcome = 'committed'", "DELETE FROM ingest_ledger"),
        *("TRUNCATE ingest_ledger", "UPDATE quarantine SET row = '{}'"),
        *("DELETE FROM candles_5m", "DELETE FROM aggregate_refreshes"),
        *("SET ROLE collector_owner", "SET SESSION AUTHORIZATION collector_owner"),
        "SET ROLE collector_maintainer",
        "CREATE TEMPORARY TABLE t (a int)",
        "SELECT * FROM schema_migrations",
        "SELECT drop_chunks('stock_prices', older_than => now())",
        "ALTER ROLE collector_user SUPERUSER",
    ],
    "collector_reader": [
        *NO_DDL,
        *(_BAR, LEDGER_LINE, _QUARANTINE),
        *("DELETE FROM daily_bars", "UPDATE daily_bars SET volume = 0"),
        *("TRUNCATE daily_bars", "DROP TABLE daily_bars", "SET ROLE collector_owner"),
        "CREATE TEMPORARY TABLE t (a int)",
        "SELECT * FROM schema_migrations",
    ],
    "collector_maintainer": [
        *NO_DDL,
        "SET ROLE collector_owner",
        *("DROP TABLE daily_bars", "DROP TABLE ingest_ledger", "DROP OWNED BY collector_owner"),
        *("DROP SCHEMA public CASCADE", "DROP INDEX ingest_ledger_asset_session_idx"),
        *("ALTER SCHEMA public RENAME TO s", "CREATE INDEX ON ingest_ledger (run_id)"),
        *("CREATE MATERIALIZED VIEW m AS SELECT 1", "COMMENT ON TABLE quarantine IS 'c'"),
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
        "CREATE TEMPORARY TABLE t (a int)",
        "SET SESSION AUTHORIZATION collector_owner",
        "DROP EVENT TRIGGER refuse_maintainer",
        "SET event_triggers = off",
        "SET session_replication_role = 'replica'",
    ],
    "collector_migrator": ["SET ROLE postgres", "CREATE EXTENSION dblink"],
    "stockeasy_collector": [
        *NO_DDL,
        *("SELECT * FROM watchlists", "SELECT * FROM watchlist_items", "SELECT * FROM portfolios"),
        *("SELECT * FROM portfolio_transactions", "SELECT * FROM portfolio_positions"),
        *("INSERT INTO watchlists (owner, name) VALUES ('o', 'n')", "DELETE FROM portfolios"),
        *("DROP TABLE symbols", "TRUNCATE symbols", "ALTER TABLE companies ADD a int"),
        *("TRUNCATE etf_constituents", "UPDATE etf_constituents SET weight = 0"),
        *("DELETE FROM ingest_ledger", "UPDATE ingest_ledger SET outcome = 'committed'"),
        *("SET ROLE stockeasy_owner", "SET ROLE stockeasy_app", "SET ROLE dagster"),
    ],
    "stockeasy_reader": [
        *NO_DDL,
        *("DELETE FROM symbols", "DELETE FROM companies", "DELETE FROM etf_constituents"),
        *(LEDGER_LINE, "SELECT * FROM watchlists", "SELECT * FROM portfolio_transactions"),
        "SELECT * FROM portfolio_positions",
        "SET ROLE stockeasy_owner",
    ],
    "stockeasy_app": [
        *NO_DDL,
        *("DELETE FROM symbols", "UPDATE companies SET name = ''", "DELETE FROM etf_constituents"),
        *("SELECT * FROM ingest_ledger", "SELECT * FROM quarantine", LEDGER_LINE),
        *("TRUNCATE watchlists", "DROP TABLE portfolios", "ALTER TABLE portfolios ADD a int"),
        *("SET ROLE stockeasy_owner", "CREATE TEMPORARY TABLE t (a int)"),
    ],
    "stockeasy_migrator": ["SET ROLE postgres", "SET ROLE dagster"],
    "dagster": ["SET ROLE stockeasy_owner"],
}
