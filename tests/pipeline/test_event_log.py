"""Dagster's event log as runs use it: connections, and what is stored together."""

from collections.abc import Callable

import dagster as dg
import pytest
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import select

from embedded.stack import Stack
from resources.dagster_storage import EventLog
from tests.pipeline.market import Market

FIRST, LAST = "2025-01-02", "2025-01-08"


@pytest.fixture
def storage(instance: dg.DagsterInstance) -> EventLog:
    assert isinstance(instance.event_log_storage, EventLog)
    return instance.event_log_storage


@pytest.fixture
def report(instance: dg.DagsterInstance) -> Callable[[str], None]:
    """Record a materialisation of an asset of this name."""
    return lambda name: instance.report_runless_asset_event(dg.AssetMaterialization(name))


@pytest.fixture
def as_superuser(stack: Stack) -> Callable[[str], list[str]]:
    """Run SQL on PostgreSQL; what it returns are the lines."""
    server = stack.superuser("postgres")
    database = stack.environment["DAGSTER_DB_NAME"]
    return lambda sql: server.script(sql, {}, database=database).split()


def recorded(instance: dg.DagsterInstance) -> set[str]:
    return {key.to_user_string() for key in instance.all_asset_keys()}


def test_what_is_stored_together_is_there_as_a_whole(instance, storage, report):
    with storage.together():
        report("first")
        report("second")
    assert recorded(instance) == {"first", "second"}


def test_or_not_at_all(instance, storage, report):
    def fail() -> None:
        with storage.together():
            report("first")
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail()
    assert recorded(instance) == set()
    report("later")
    assert recorded(instance) == {"later"}


def test_a_batch_is_stored_as_a_whole_and_in_order(instance, storage, report):
    report("first")
    report("second")
    events = [
        record.event_log_entry
        for name in ("first", "second")
        for record in instance.fetch_materializations(dg.AssetKey(name), limit=1).records
    ]
    instance.wipe()
    storage.store_event_batch(events)
    newest = [
        instance.fetch_materializations(dg.AssetKey(name), limit=1).records[0].storage_id
        for name in ("first", "second")
    ]
    assert newest == sorted(newest)
    assert recorded(instance) == {"first", "second"}


def test_a_connection_that_is_kept_and_lost_is_replaced(instance, storage, report, as_superuser):
    storage.keep_connection()
    engine = storage._engine
    report("before")
    assert engine.pool.checkedin() == 1
    as_superuser(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = "
        "(SELECT rolname FROM pg_roles JOIN pg_database ON pg_roles.oid = datdba "
        "WHERE datname = current_database())"
    )
    report("after")
    assert recorded(instance) == {"before", "after"}
    storage.keep_connection()
    assert storage._engine is engine


def test_a_run_keeps_a_connection(instance, storage, launch):
    kept: list[object] = []
    keep = storage.keep_connection

    def count() -> None:
        keep()
        kept.append(storage._engine)

    storage.keep_connection = count
    assert launch(Market(), "daily_bars", FIRST).success
    # Each step asks for it; it is the same one.
    assert len(kept) > 1
    assert len(set(map(id, kept))) == 1


def test_checks_are_planned_as_dagster_plans_them(instance, storage, launch):
    """Partition by partition; how they are written is ours."""
    assert launch(Market(), "daily_bars", FIRST, LAST).success
    (run,) = instance.get_runs()
    planned = [
        record.event_log_entry
        for record in storage.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED
        ).records
    ]
    assert planned

    def rows(plan: Callable[..., None]) -> list[tuple[object, ...]]:
        with storage.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.delete())
        for event in planned:
            plan(storage, event, 1)
        columns = [
            column
            for column in AssetCheckExecutionsTable.c
            if column.name not in ("id", "create_timestamp")
        ]
        with storage.index_connection() as connection:
            found = connection.execute(select(*columns).order_by(AssetCheckExecutionsTable.c.id))
            return [tuple(row) for row in found]

    ours = rows(EventLog._store_asset_check_evaluation_planned)
    theirs = rows(PostgresEventLogStorage._store_asset_check_evaluation_planned)
    assert ours == theirs
    assert len(ours) > len(planned)
