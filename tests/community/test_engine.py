"""The engine stands in for a server: its clients, roles and sessions are those of one."""

import os
import socket
import threading
from contextlib import closing

import psycopg
import pytest

ROLES = ("collector_migrator", "collector_user", "collector_maintainer", "collector_reader")


def test_it_is_the_community_edition(query):
    assert query("SHOW timescaledb.license") == [("timescale",)]
    ((version,),) = query("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    assert tuple(map(int, version.split(".")[:2])) >= (2, 18)


@pytest.mark.parametrize("role", ROLES)
def test_a_client_is_the_role_it_names(connect_as, role):
    with connect_as(role) as connection:
        assert connection.execute("SELECT session_user, current_user").fetchone() == (
            role,
            "collector_owner" if role == "collector_migrator" else role,
        )


def test_a_role_has_its_rights_and_no_others(connect_as, clean):
    with connect_as("collector_user") as user:
        user.execute("DELETE FROM stock_prices")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            user.execute("CREATE TABLE anything ()")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner"):
            user.execute("ALTER TABLE stock_prices SET (timescaledb.compress)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            user.execute("SET ROLE collector_owner")


def test_a_role_has_its_settings(connect_as):
    with connect_as("collector_reader") as reader:
        assert reader.execute("SHOW statement_timeout").fetchone() == ("5min",)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("CREATE TEMPORARY TABLE anything ()")


def test_a_role_that_does_not_exist_is_refused(connect_as):
    with pytest.raises(psycopg.OperationalError, match='role "nobody" does not exist'):
        connect_as("nobody")


def test_nothing_of_a_session_outlives_it(connect_as):
    # Not psycopg's own block, which commits.
    with closing(connect_as("collector_migrator")) as first:
        first.execute("SET timezone = 'Asia/Seoul'")
        first.execute("SET work_mem = '5MB'")
        first.execute("SELECT pg_advisory_lock(1)")
        first.execute("PREPARE anything AS SELECT 1")
        first.execute("BEGIN")
        first.execute("CREATE TABLE anything ()")
    with connect_as("collector_migrator") as second:
        assert second.execute(
            """SELECT to_regclass('anything'), current_setting('timezone'),
                      current_setting('work_mem'), (SELECT count(*) FROM pg_prepared_statements),
                      (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"""
        ).fetchone() == (None, "GMT", "4MB", 0, 0)


def test_a_second_client_waits_for_its_turn(connect_as):
    ended, order = threading.Event(), []

    def second() -> None:
        with connect_as("collector_user") as connection:
            connection.execute("SELECT 1")
            order.append("second")
        ended.set()

    with connect_as("collector_user") as first:
        waiting = threading.Thread(target=second, daemon=True)
        waiting.start()
        for _ in range(100):
            first.execute("SELECT 1")
        order.append("first")
    assert ended.wait(20)
    assert order == ["first", "second"]


def test_a_client_that_breaks_off_leaves_the_engine_to_the_next(connect_as):
    with closing(connect_as("collector_migrator")) as lost:
        lost.execute("BEGIN")
        lost.execute("CREATE TABLE anything ()")
        with socket.socket(fileno=os.dup(lost.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)
        with connect_as("collector_migrator") as following:
            assert following.execute("SELECT to_regclass('anything')").fetchone() == (None,)


def test_an_engine_that_died_says_so_with_its_last_words(start_engine):
    engine = start_engine()
    engine.require_alive()
    with (
        pytest.raises(psycopg.OperationalError),
        engine.connect() as connection,
        connection.cursor().copy("COPY pg_class FROM STDIN") as copy,
    ):
        copy.write_row(())
    engine.process.wait(20)
    with pytest.raises(
        pytest.fail.Exception, match=r"ended with status 1.*COPY pg_class FROM STDIN"
    ):
        engine.require_alive()
