"""Dagster's storage in PostgreSQL, encrypted as ``APP_DB_SSLMODE`` and ``APP_DB_SSLROOTCERT`` say:
it is behind the application's PgBouncer, like the application's own database.

Dagster's configuration takes the parameters of a connection as they stand in dagster.yaml only;
there, they would be the same on every machine.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self, cast

import psycopg2
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.config import PostgresStorageConfig, PostgresStorageConfigDb
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._serdes import ConfigurableClassData, serialize_value
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

from resources.databases import LIMITS, ApplicationDatabase

if TYPE_CHECKING:
    from dagster import EventLogEntry
    from psycopg2.extensions import connection as DriverConnection
    from sqlalchemy import Connection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection


@event.listens_for(QueuePool, "checkout")
def _still_there(
    connection: "DriverConnection", record: "ConnectionPoolEntry", proxy: "PoolProxiedConnection"
) -> None:
    """The webserver and runs keep connections. Of one to a server that was killed since, the one
    would learn in the middle of a launch, and leave half a run behind, which Dagster starts minutes
    later; the other would die of it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        # The pool makes a new one.
        raise DisconnectionError from error


class EventLog(PostgresEventLogStorage):
    """``PostgresEventLogStorage``, which can store several events together.

    Dagster's connects several times for every event, and asks each time whether tables exist that
    it has made itself.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._there: set[str] = set()
        self._mine = threading.local()
        super().__init__(*arguments, **options)

    def keep_connection(self) -> None:
        """Use one connection for as long as this process lives, as a process does that executes a
        run; one that went away is replaced."""
        if not isinstance(self._engine.pool, QueuePool):
            self._engine = create_pg_engine(
                self.postgres_url, self._token_provider, isolation_level="AUTOCOMMIT", pool_size=1
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread stores in the block is written at its end, as a whole or not at all."""
        events: list[EventLogEntry] = []
        self._mine.events = events
        try:
            yield
        finally:
            self._mine.events = None
        if events:
            self.store_event_batch(events)

    def store_event(self, event: "EventLogEntry") -> None:
        waiting: list[EventLogEntry] | None = getattr(self._mine, "events", None)
        if waiting is None:
            super().store_event(event)
        else:
            waiting.append(event)

    def store_event_batch(self, events: "Sequence[EventLogEntry]") -> None:
        """What ``store_event`` does for each, of all in one transaction."""
        with self.index_transaction() as connection:
            # Values apart from the statement, which SQLAlchemy then makes a text of only once.
            insert = SqlEventLogStorageTable.insert().returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            rows = [self._event_to_row(event) for event in events]
            stored = list(zip(events, connection.scalars(insert, rows), strict=True))
            of_assets = [one for one in stored if one[0].dagster_event_type in ASSET_EVENTS]
            self._store_asset_event_tags(
                connection, [event for event, _ in of_assets], [number for _, number in of_assets]
            )
            # The asset's row tells of the newest event of each kind.
            newest = {
                (event.get_dagster_event().asset_key, event.dagster_event_type): (event, number)
                for event, number in of_assets
            }
            for event, number in newest.values():
                self._store_asset_event(connection, event, number)
            self._mine.connection = connection
            try:
                for event, number in stored:
                    if event.dagster_event_type in ASSET_CHECK_EVENTS:
                        self.store_asset_check_event(event, number)
            finally:
                self._mine.connection = None

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._there and super().has_table(table_name):
            self._there.add(table_name)
        return table_name in self._there

    def _connect(self) -> "AbstractContextManager[Connection]":
        connection = getattr(self._mine, "connection", None)
        return super()._connect() if connection is None else nullcontext(connection)

    def _store_asset_check_evaluation_planned(
        self, event: "EventLogEntry", event_id: int | None
    ) -> None:
        """As Dagster does it; it makes a text of the event, which names all partitions, for each
        partition again: a minute for ten years of sessions and a dozen checks."""
        from dagster._core.storage.asset_check_execution_record import (
            AssetCheckExecutionRecordStatus,
        )

        planned: Any = event.get_dagster_event().event_specific_data
        subset = planned.partitions_subset
        same = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": event_id,
        }
        keys = subset.get_partition_keys() if subset else [None]
        with self.index_connection() as connection:
            connection.execute(
                AssetCheckExecutionsTable.insert(), [{**same, "partition": key} for key in keys]
            )


class PostgresStorage(DagsterPostgresStorage):
    """``DagsterPostgresStorage`` with ``EventLog``; its connections give up a server that does not
    answer, and are encrypted as the environment says."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data)
        self._event_log_storage = EventLog(postgres_url, should_autocreate_tables=False)
        # Events that Dagster wants to be stored together: those of a launch, of a partition each.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "10000")

    @classmethod
    def from_config_value(  # type: ignore[override]  # as in the class above
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> Self:
        """The storage that dagster.yaml describes."""
        database = config_value["postgres_db"]
        encryption = {
            field: os.environ[variable]
            for field, variable in ApplicationDatabase.tls_variables.items()
            if os.environ.get(variable)
        }
        params = {**LIMITS, "application_name": "dagster", **database.get("params", {})}
        changed = {**database, "params": {**params, **encryption}}
        url = pg_url_from_config(
            {**config_value, "postgres_db": cast(PostgresStorageConfigDb, changed)}
        )
        return cls(url, bool(config_value.get("should_autocreate_tables", True)), inst_data)
