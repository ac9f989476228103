"""Refreshes and loads at the same time end right."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from resources.aggregates import AGGREGATES, CANDLES_5M, DAILY_CANDLES
from resources.refresh import check_server, refresh
from tests.integration.access import eventually
from tests.integration.aggregates.market import SESSIONS, minutes

FIRST, SECOND, _ = SESSIONS
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def in_background():
    """Start something in a thread; what it raised comes out when its result is asked for."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


def test_a_refresh_waits_for_a_load_of_its_session(
    load, refreshed, query, connect_as, in_background, differing
):
    load(FIRST)
    with connect_as("collector_user") as loader, loader.transaction():
        loader.execute(
            "SELECT pg_advisory_xact_lock(hashtext('stock_prices'), "
            "date '2025-06-12' - date '2000-01-01')"
        )
        waiting = in_background(refreshed, FIRST, CANDLES_5M)
        eventually(lambda: query(WAITING) == [(1,)])
        loader.execute("UPDATE stock_prices SET volume = volume + 1")
    waiting.result(60)
    assert differing(CANDLES_5M) == []


def test_a_load_waits_for_a_refresh_of_its_session(
    load, refreshed, query, stack, maintainer, in_background
):
    load(FIRST)
    with maintainer.connect() as refreshing:
        refreshing.execute(
            "SELECT pg_advisory_lock_shared(hashtext('stock_prices'), "
            "date '2025-06-12' - date '2000-01-01')"
        )
        # Another aggregate of the session is refreshed meanwhile.
        refreshed(FIRST, CANDLES_5M)
        waiting = in_background(load, FIRST, minutes(FIRST, seed=1))
        eventually(lambda: query(WAITING) == [(1,)])
        # Another session is loaded meanwhile.
        load(SECOND)
    waiting.result(60)
    assert query("SELECT count(*) FROM ingest_ledger") == [(3,)]


def test_a_parent_waits_for_its_child(load, refreshed, query, maintainer, in_background):
    load(FIRST)
    refreshed(FIRST)
    with maintainer.connect() as refreshing:
        refreshing.execute(
            "SELECT pg_advisory_lock(hashtext('candles_5m'), date '2025-06-12' - date '2000-01-01')"
        )
        waiting = in_background(refreshed, FIRST, DAILY_CANDLES)
        eventually(lambda: query(WAITING) == [(1,)])
    waiting.result(60)


def test_many_at_once_end_right(load, refreshed, in_background, differing):
    """TimescaleDB 2.21 took a second refresh for done, 2.28 and later refuse it."""
    for session in SESSIONS:
        load(session)
        refreshed(session)
    for session in SESSIONS:
        load(session, minutes(session, seed=1))
    waiting = [
        in_background(refreshed, session, aggregate)
        for session in (*SESSIONS, FIRST)
        for aggregate in AGGREGATES
        if aggregate is not DAILY_CANDLES
    ]
    for one in waiting:
        one.result(120)
    for session in SESSIONS:
        refreshed(session, DAILY_CANDLES)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []


def test_loads_and_refreshes_at_once_end_right(load, refreshed, in_background, differing):
    for session in SESSIONS:
        load(session)
    waiting = [
        in_background(work, session)
        for seed in range(2)
        for session in SESSIONS
        for work in (
            refreshed,
            lambda session, seed=seed: load(session, minutes(session, seed=seed)),
        )
    ]
    for one in waiting:
        one.result(120)
    for session in SESSIONS:
        refreshed(session)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []


def test_a_connection_lost_in_mid_refresh_is_tried_again(
    load, refreshed, as_superuser, monkeypatch, differing
):
    load(FIRST)
    import resources.refresh

    count, lost = resources.refresh._count, []

    def kill_once(connection: psycopg.Connection, relation: str, *rest: object) -> int:
        if relation == "candles_5m" and not lost:
            lost.append(True)
            (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
            as_superuser(f"SELECT pg_terminate_backend({pid})")
        return count(connection, relation, *rest)

    monkeypatch.setattr(resources.refresh, "_count", kill_once)
    refreshed(FIRST, CANDLES_5M)
    assert lost
    assert differing(CANDLES_5M) == []


def test_locks_do_not_outlive_a_refresh_that_fails(load, maintainer, query):
    load(FIRST)
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-13')")
    server = check_server(maintainer)
    with pytest.raises(Exception, match="of the session's"):
        refresh(maintainer, server, CANDLES_5M, FIRST)
    done = threading.Event()
    threading.Thread(target=lambda: (load(FIRST), done.set()), daemon=True).start()
    assert done.wait(20)
