"""Everything or nothing, one writer at a time."""

import threading
from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pytest

from resources.canonical import canonical
from resources.databases import DatabaseError, DatabaseUnavailableError
from resources.ingestion import IngestionError
from resources.loading import Refused, load
from resources.tables import DAILY_BARS
from resources.validation import split
from tests.integration.access import eventually
from tests.integration.loading.dump import NOW, SESSION, Dump, attempt, bars


def test_a_violation_in_mid_load_changes_nothing(run, stored, timescaledb, query):
    run(Dump(bars(3)))
    before = stored()
    rows = canonical(split(bars(5), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
    with pytest.raises(DatabaseError, match="duplicate key"):
        load(timescaledb, attempt(), pa.concat_tables([rows, rows]), 0, Refused())
    assert stored() == before
    assert query("SELECT count(*) FROM ingest_ledger") == [(1,)]


def test_a_ledger_that_cannot_be_written_stops_the_load(run, stored, query):
    run(Dump(bars(3)))
    before = stored()
    query("REVOKE INSERT ON ingest_ledger FROM collector_user")
    try:
        with pytest.raises(IngestionError, match=r"permission denied.*not in the ledger"):
            run(Dump(bars(5)))
    finally:
        query("GRANT INSERT ON ingest_ledger TO collector_user")
    assert stored() == before


def test_a_connection_lost_in_mid_load_changes_nothing_and_is_tried_again(
    run, stored, timescaledb, as_superuser, monkeypatch
):
    run(Dump(bars(3)))
    lost = []

    def kill_once(cursor: object, attempt: object) -> None:
        if not lost:
            lost.append(True)
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
            as_superuser(f"SELECT pg_terminate_backend({pid})")

    monkeypatch.setattr("resources.loading._refuse_source_change", kill_once)
    rows = canonical(split(bars(5), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
    with pytest.raises(DatabaseUnavailableError):
        load(timescaledb, attempt(), rows, 0, Refused())
    assert len(stored()) == 3
    lost.clear()
    monkeypatch.setattr("resources.ingestion.persistently", fast_retries())
    assert run(Dump(bars(5))).loaded == 5
    assert len(stored()) == 5


def test_a_second_writer_of_the_session_waits(run, stored, query, timescaledb):
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('daily_bars'), date '2025-01-02' "
            "- date '2000-01-01')"
        )
        cursor.fetchall()
        done = []
        writer = threading.Thread(target=lambda: done.append(run(Dump(bars(3)))))
        writer.start()
        eventually(lambda: query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
        assert not done
        # Another session is not held up.
        run(Dump(bars(2, date=date(2025, 1, 3))), session=date(2025, 1, 3))
    writer.join(30)
    assert [loaded.loaded for loaded in done] == [3]


def test_a_session_that_is_held_too_long_is_not_waited_for(run, timescaledb, monkeypatch):
    monkeypatch.setattr("resources.loading.TIMEOUTS", ("50ms", "15min"))
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('daily_bars'), date '2025-01-02' "
            "- date '2000-01-01')"
        )
        cursor.fetchall()
        with pytest.raises(IngestionError, match="another run holds this session"):
            run(Dump(bars(3)))


def test_two_writers_at_once_leave_one_session(run, stored):
    writers = [threading.Thread(target=lambda n=n: run(Dump(bars(2000, volume=n)))) for n in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    rows = stored()
    assert len(rows) == 2000
    assert len({row[6] for row in rows}) == 1


def fast_retries() -> Callable[..., object]:
    from tenacity import retry, retry_if_exception_type, stop_after_attempt

    return retry(
        retry=retry_if_exception_type(DatabaseUnavailableError),
        stop=stop_after_attempt(5),
        reraise=True,
    )
