"""Least privilege, role by role: what each may do, and what it is refused, straight on the servers,
where no pooler stands between. Statements that are allowed are rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from embedded.stack import Stack

DENIED = psycopg.errors.InsufficientPrivilege
READ_ONLY = psycopg.errors.ReadOnlySqlTransaction

# Server, password, own database: variables' names.
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
_LOOKS_UP = "PGBOUNCER_AUTH_PASSWORD"

LogIn = Callable[..., psycopg.Connection]


@pytest.fixture
def log_in(stack: Stack) -> LogIn:
    """Connect straight to a server: as whom, and to which database (default: the role's own)."""
    variables = {"TIMESCALE_DB", "APP_DB_NAME", "DAGSTER_DB_NAME"}

    def log_in(role: str, database: str | None = None, server: str | None = None, **more: Any):
        if server is None:
            server = "TIMESCALE" if role in TIMESCALE else "APP_DB"
        own = "TIMESCALE_DB" if server == "TIMESCALE" else "APP_DB_NAME"
        own = "DAGSTER_DB_NAME" if role == "dagster" else own
        password = {**TIMESCALE, **APPLICATION}.get(role, _LOOKS_UP)
        name = database or own
        return psycopg.connect(
            host=stack.environment[f"{server}_SERVER_HOST"],
            port=stack.environment[f"{server}_SERVER_PORT"],
            user=role,
            password=stack.environment[password],
            dbname=stack.environment[name] if name in variables else name,
            connect_timeout=10,
            **more,
        )

    return log_in


_LEDGER = (
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
        *(_LEDGER, "SELECT * FROM ingest_ledger"),
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
        *(_LEDGER, _QUARANTINE, "DELETE FROM quarantine"),
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

_NOBODY = [_READ_FILE, _PROGRAM, "CREATE ROLE r", "SELECT * FROM pg_authid"]
_NO_DDL = [
    "CREATE TABLE public.t (a int)",
    "CREATE SCHEMA s",
    _FUNCTION.replace("f()", "public.f()"),
]

FORBIDDEN: dict[str, list[str]] = {
    "collector_user": [
        *_NO_DDL,
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
        *_NO_DDL,
        *(_BAR, _LEDGER, _QUARANTINE, "DELETE FROM daily_bars", "UPDATE daily_bars SET volume = 0"),
        *("TRUNCATE daily_bars", "DROP TABLE daily_bars", "SET ROLE collector_owner"),
        "CREATE TEMPORARY TABLE t (a int)",
        "SELECT * FROM schema_migrations",
    ],
    "collector_maintainer": [
        *_NO_DDL,
        "SET ROLE collector_owner",
        *("DROP TABLE daily_bars", "DROP TABLE ingest_ledger", "DROP OWNED BY collector_owner"),
        *("DROP SCHEMA public CASCADE", "DROP INDEX ingest_ledger_asset_session_idx"),
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
        "CREATE TEMPORARY TABLE t (a int)",
        "SET SESSION AUTHORIZATION collector_owner",
        "DROP EVENT TRIGGER refuse_maintainer",
        "SET event_triggers = off",
        "SET session_replication_role = 'replica'",
    ],
    "collector_migrator": ["SET ROLE postgres", "CREATE EXTENSION dblink"],
    "stockeasy_collector": [
        *_NO_DDL,
        *("SELECT * FROM watchlists", "SELECT * FROM watchlist_items", "SELECT * FROM portfolios"),
        *("SELECT * FROM portfolio_transactions", "SELECT * FROM portfolio_positions"),
        *("INSERT INTO watchlists (owner, name) VALUES ('o', 'n')", "DELETE FROM portfolios"),
        *("DROP TABLE symbols", "TRUNCATE symbols", "ALTER TABLE companies ADD a int"),
        *("TRUNCATE etf_constituents", "UPDATE etf_constituents SET weight = 0"),
        *("DELETE FROM ingest_ledger", "UPDATE ingest_ledger SET outcome = 'committed'"),
        *("SET ROLE stockeasy_owner", "SET ROLE stockeasy_app", "SET ROLE dagster"),
    ],
    "stockeasy_reader": [
        *_NO_DDL,
        *("DELETE FROM symbols", "DELETE FROM companies", "DELETE FROM etf_constituents"),
        *(_LEDGER, "SELECT * FROM watchlists", "SELECT * FROM portfolio_transactions"),
        "SELECT * FROM portfolio_positions",
        "SET ROLE stockeasy_owner",
    ],
    "stockeasy_app": [
        *_NO_DDL,
        *("DELETE FROM symbols", "UPDATE companies SET name = ''", "DELETE FROM etf_constituents"),
        *("SELECT * FROM ingest_ledger", "SELECT * FROM quarantine", _LEDGER),
        *("TRUNCATE watchlists", "DROP TABLE portfolios", "ALTER TABLE portfolios ADD a int"),
        *("SET ROLE stockeasy_owner", "CREATE TEMPORARY TABLE t (a int)"),
    ],
    "stockeasy_migrator": ["SET ROLE postgres", "SET ROLE dagster"],
    "dagster": ["SET ROLE stockeasy_owner"],
}


def _cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(role, statement) for role, statements in table.items() for statement in statements]


@pytest.fixture(params=[*TIMESCALE, *APPLICATION])
def role(request: pytest.FixtureRequest) -> str:
    return request.param


def _refused(connection: psycopg.Connection, statement: str) -> bool:
    """Whether the statement fails for want of a right; whatever it did is rolled back."""
    try:
        connection.execute(statement)  # type: ignore[call-overload]
    except (DENIED, READ_ONLY):
        return True
    finally:
        connection.rollback()
    return False


def test_what_is_allowed_works(log_in, clean, role):
    with log_in(role) as connection:
        refused = [statement for statement in ALLOWED[role] if _refused(connection, statement)]
    assert refused == []


def test_what_is_not_is_refused(log_in, clean, role):
    with log_in(role) as connection:
        statements = [*_NOBODY, *FORBIDDEN[role]]
        done = [statement for statement in statements if not _refused(connection, statement)]
    assert done == []


def test_a_reader_that_drops_its_own_guard_still_cannot_write(log_in, clean):
    for reader, statement in (
        ("collector_reader", "DELETE FROM daily_bars"),
        ("stockeasy_reader", "DELETE FROM symbols"),
    ):
        with log_in(reader) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.commit()
            with pytest.raises(DENIED):
                connection.execute(statement)


def test_the_maintainer_owns_by_membership_which_is_as_far_as_it_can_be_kept(log_in, clean):
    """TimescaleDB asks for ownership: rows and chunks it may therefore remove."""
    possible = [
        *("DELETE FROM daily_bars", "TRUNCATE daily_bars", "DELETE FROM quarantine"),
        *(_LEDGER, "ALTER TABLE quarantine OWNER TO collector_maintainer"),
    ]
    with log_in("collector_maintainer") as connection:
        assert [statement for statement in possible if _refused(connection, statement)] == []


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
            statements = [*_NOBODY, *_NO_DDL, "CREATE TABLE pgbouncer.t (a int)"]
            statements += ["CREATE TEMPORARY TABLE t (a int)", f"SET ROLE {somebody}"]
            done = [statement for statement in statements if not _refused(connection, statement)]
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
                        assert _refused(connection, statement), role
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
        from resources.databases import DatabaseError

        with pytest.raises(DatabaseError, match="authentication failed"), timescaledb.connect():
            pass
    finally:
        as_superuser("ALTER ROLE collector_user VALID UNTIL 'infinity'")
    with timescaledb.connect():
        pass
