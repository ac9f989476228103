"""What holds for all roles of a server: databases, owners, limits, PUBLIC, the pooler's users."""

import psycopg
import pytest

from resources.databases import DatabaseError
from tests.integration.privileges.roles import (
    APPLICATION,
    NO_DDL,
    NOBODY,
    TIMESCALE,
    is_refused,
)


@pytest.mark.parametrize(
    ("role", "server", "database"),
    [
        *((role, "TIMESCALE", "postgres") for role in TIMESCALE),
        *((role, "APP_DB", "postgres") for role in APPLICATION),
        *((role, "APP_DB", "DAGSTER_DB_NAME") for role in APPLICATION if role != "dagster"),
        ("dagster", "APP_DB", "APP_DB_NAME"),
        ("pgbouncer", "APP_DB", "APP_DB_NAME"),
        ("pgbouncer", "APP_DB", "DAGSTER_DB_NAME"),
        ("pgbouncer", "TIMESCALE", "TIMESCALE_DB"),
    ],
)
def test_nobody_connects_to_a_database_of_others(log_in, role, server, database):
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        log_in(role, database, server)


@pytest.mark.parametrize("role", [*TIMESCALE, *APPLICATION])
def test_a_login_is_encrypted_and_the_server_verified(log_in, stack, role):
    server = "TIMESCALE_SERVER" if role in TIMESCALE else "APP_DB_SERVER"
    if not stack.environment[f"{server}_SSLMODE"]:
        pytest.skip(f"needs a TimescaleDB with encryption: {server}_SSLMODE is not set")
    assert stack.environment[f"{server}_SSLMODE"] == "verify-full"
    with log_in(role) as connection:
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize("role", TIMESCALE)
def test_the_collectors_roles_do_not_exist_at_the_application(log_in, role):
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        log_in(role, "APP_DB_NAME", "APP_DB")


@pytest.mark.parametrize("server", ["TIMESCALE", "APP_DB"])
class TestPgBouncer:
    def test_it_looks_passwords_up_and_nothing_else(self, log_in, stack, server):
        somebody = "collector_user" if server == "TIMESCALE" else "stockeasy_app"
        with log_in("pgbouncer", "postgres", server) as connection:
            found = connection.execute(
                "SELECT username, left(password, 13) FROM pgbouncer.get_auth(%s)", [somebody]
            ).fetchall()
            assert found == [(somebody, "SCRAM-SHA-256")]
            # Superusers never log in through a pooler.
            hidden = "SELECT * FROM pgbouncer.get_auth('postgres')"
            assert connection.execute(hidden).fetchall() == []
            statements = [*NOBODY, *NO_DDL, "CREATE TABLE pgbouncer.t (a int)"]
            statements += ["CREATE TEMPORARY TABLE t (a int)", f"SET ROLE {somebody}"]
            done = [statement for statement in statements if not is_refused(connection, statement)]
        assert done == []

    def test_who_sees_statistics_cannot_command(self, stack, server):
        port = "TIMESCALE_PORT" if server == "TIMESCALE" else "APP_DB_PORT"
        with psycopg.connect(
            host="127.0.0.1",
            port=stack.environment[port],
            user="pgbouncer_stats",
            password=stack.environment["PGBOUNCER_STATS_PASSWORD"],
            dbname="pgbouncer",
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
        ) as console:
            assert console.execute("SHOW POOLS").fetchall()
            for command in ("PAUSE", "KILL postgres", "SHUTDOWN", "SET max_client_conn = 1"):
                with pytest.raises(psycopg.Error, match="admin"):
                    console.execute(command)


_EXALTED = (
    "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'postgres' AND "
    "(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) "
    "AND (rolname ~ '^(collector|stockeasy)_' OR rolname IN ('pgbouncer', 'dagster'))"
)
_OPEN = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'S')
  AND EXISTS (SELECT FROM aclexplode(c.relacl) WHERE grantee = 0)
UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace
  AND pg_get_userbyid(p.proowner) ~ '_owner$'
  AND has_function_privilege('public', p.oid, 'EXECUTE')
"""


_WRITABLE = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')
  AND has_table_privilege(%s, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')
ORDER BY 1
"""
_LOADED = {
    "collector_user": [
        *("check_results", "daily_bars", "ingest_ledger", "market_flows", "quarantine"),
        *("realtime_prices", "session_reports", "stock_prices", "supply_demand"),
    ],
    "collector_reader": [],
    "stockeasy_collector": [
        *("companies", "etf_constituents", "ingest_ledger", "quarantine", "symbols"),
    ],
    "stockeasy_reader": [],
    "stockeasy_app": [
        *("portfolio_transactions", "portfolios", "watchlist_items", "watchlists"),
    ],
}


@pytest.mark.parametrize("role", _LOADED)
def test_nobody_changes_other_tables_than_these(owners, role):
    owner = owners["timescale" if role in TIMESCALE else "application"]
    assert [name for (name,) in owner.execute(_WRITABLE, [role])] == _LOADED[role]


@pytest.mark.parametrize("server", ["timescale", "application"])
class TestServers:
    def test_nobody_is_exalted_and_owners_do_not_log_in(self, owners, server):
        owner = owners[server]
        assert owner.execute(_EXALTED).fetchall() == []
        can = "SELECT rolname FROM pg_roles WHERE rolname ~ '_owner$' AND rolcanlogin"
        assert owner.execute(can).fetchall() == []

    def test_public_has_nothing(self, owners, server):
        owner = owners[server]
        closed = "SELECT has_schema_privilege('public', 'public', 'USAGE, CREATE')"
        assert owner.execute(closed).fetchone() == (False,)
        anybody = (
            "SELECT has_database_privilege('public', current_database(), 'CONNECT, TEMPORARY')"
        )
        assert owner.execute(anybody).fetchone() == (False,)
        assert owner.execute(_OPEN).fetchall() == []

    def test_what_a_later_migration_makes_is_nobodys_until_granted(self, owners, log_in, server):
        owner = owners[server]
        roles = TIMESCALE if server == "timescale" else APPLICATION
        others = [role for role in roles if role.endswith(("user", "reader", "collector", "app"))]
        owner.execute("CREATE TABLE later (a int)")
        owner.execute("CREATE FUNCTION later_too() RETURNS int LANGUAGE sql RETURN 1")
        try:
            assert owner.execute(_OPEN).fetchall() == []
            for role in others:
                with log_in(role) as connection:
                    for statement in ("SELECT * FROM later", "SELECT later_too()"):
                        assert is_refused(connection, statement), role
        finally:
            owner.execute("DROP FUNCTION later_too()")
            owner.execute("DROP TABLE later")

    def test_a_transaction_that_is_left_open_ends(self, log_in, server):
        """Every role that works with rows has limits of its own, whatever the server's are."""
        roles = TIMESCALE if server == "timescale" else APPLICATION
        for role in roles:
            if role.endswith("migrator") or role == "dagster":
                continue
            with log_in(role) as connection:
                (idle,) = connection.execute(
                    "SELECT setting::int FROM pg_settings "
                    "WHERE name = 'idle_in_transaction_session_timeout'"
                ).fetchone()
                (limit,) = connection.execute(
                    "SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'"
                ).fetchone()
            assert 0 < idle <= 600_000, role
            # Compressing and refreshing have limits of their own.
            assert 0 < limit <= 900_000 or role == "collector_maintainer", role


def test_an_expired_password_is_not_handed_to_the_pooler(timescaledb, as_superuser):
    as_superuser("ALTER ROLE collector_user VALID UNTIL '2020-01-01'")
    try:
        with pytest.raises(DatabaseError, match="authentication failed"), timescaledb.connect():
            pass
    finally:
        as_superuser("ALTER ROLE collector_user VALID UNTIL 'infinity'")
    with timescaledb.connect():
        pass
