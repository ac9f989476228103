"""One connection for many sessions."""

import adbc_driver_postgresql
import pytest
from adbc_driver_manager import AdbcDatabase

from resources.connections import driver, held
from resources.databases import DatabaseError, DatabaseUnavailableError
from resources.ingestion import IngestionError, ingest
from tests.integration.loading.dump import NOW, Dump, attempt, bars
from tests.integration.loading.test_transaction import fast_retries

HELD = (
    "SELECT pid, state FROM pg_stat_activity WHERE usename = 'collector_user' "
    "AND application_name = 'stock_assets'"
)


@pytest.fixture
def load(timescaledb):
    """Load a session over one connection; and that connection."""
    with held(timescaledb) as connection:
        yield lambda source: ingest(source, connection, attempt(), source_timeout=30, now=NOW)


def connections(as_superuser) -> list[list[str]]:
    return [line.split("|") for line in as_superuser(HELD).splitlines()]


def test_sessions_share_it_and_no_transaction_stays_open(load, stored, as_superuser):
    assert load(Dump(bars(3))).loaded == 3
    ((pid, state),) = connections(as_superuser)
    assert state == "idle"
    with pytest.raises(IngestionError, match="2 rows would replace 3"):
        load(Dump(bars(2)))
    assert load(Dump(bars(4))).replaced == 3
    assert load(Dump(bars(5))).replaced == 4
    ((now, state),) = connections(as_superuser)
    assert state == "idle"
    assert len(stored()) == 5
    # A refused load gave its connection up, and with it all it had done.
    assert now != pid


def test_one_that_was_lost_between_sessions_is_made_anew(load, as_superuser, monkeypatch):
    monkeypatch.setattr("resources.ingestion.persistently", fast_retries())
    load(Dump(bars(3)))
    ((pid, _),) = connections(as_superuser)
    as_superuser(f"SELECT pg_terminate_backend({pid}, 5000)")
    assert load(Dump(bars(4))).loaded == 4
    ((now, _),) = connections(as_superuser)
    assert now != pid


def test_it_is_closed_at_the_end(timescaledb, as_superuser):
    with held(timescaledb) as connection:
        ingest(Dump(bars(3)), connection, attempt(), source_timeout=30, now=NOW)
        ((pid, _),) = connections(as_superuser)
    # The pooler keeps its own, cleaned, for the next client.
    with timescaledb.connect() as new, new.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert str(cursor.fetchone()[0]) == pid


def test_errors_are_those_of_any_connection(timescaledb):
    with held(timescaledb) as connection:
        with pytest.raises(DatabaseError, match="no_such"), connection.connect() as one:
            one.cursor().execute("SELECT no_such")
        with (
            pytest.raises(DatabaseUnavailableError),
            connection.connect() as one,
            one.cursor() as cursor,
        ):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            cursor.fetchall()


def test_a_process_reads_the_databases_types_once(timescaledb, monkeypatch):
    opened: list[str] = []
    really_open = adbc_driver_postgresql.connect

    def count_and_open(conninfo: str) -> AdbcDatabase:
        opened.append(conninfo)
        return really_open(conninfo)

    monkeypatch.setattr(adbc_driver_postgresql, "connect", count_and_open)
    driver.cache_clear()
    for _ in range(3):
        with timescaledb.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    assert len(opened) == 1
