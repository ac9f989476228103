"""Dagster's storage in PostgreSQL, encrypted as ``APP_DB_SSLMODE`` and ``APP_DB_SSLROOTCERT`` say:
it is behind the application's PgBouncer, like the application's own database.

Dagster's configuration takes the parameters of a connection as they stand in dagster.yaml only;
there, they would be the same on every machine.
"""

import os
from typing import TYPE_CHECKING, cast

import psycopg2
from dagster._core.storage.config import PostgresStorageConfig, PostgresStorageConfigDb
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

from resources.databases import ApplicationDatabase

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection


@event.listens_for(QueuePool, "checkout")
def _still_there(
    connection: "Connection", record: "ConnectionPoolEntry", proxy: "PoolProxiedConnection"
) -> None:
    """Only the webserver keeps connections. Of one to a server that was killed since it would learn
    in the middle of a launch, and leave half a run behind, which Dagster starts minutes later."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        # The pool makes a new one.
        raise DisconnectionError from error


class PostgresStorage(DagsterPostgresStorage):
    """``DagsterPostgresStorage``, with the environment's encryption in its ``postgres_db``."""

    @classmethod
    def from_config_value(  # type: ignore[override]  # as in the class above
        cls, inst_data: ConfigurableClassData | None, config_value: PostgresStorageConfig
    ) -> DagsterPostgresStorage:
        """The storage that dagster.yaml describes."""
        database = config_value["postgres_db"]
        encryption = {
            field: os.environ[variable]
            for field, variable in ApplicationDatabase.tls_variables.items()
            if os.environ.get(variable)
        }
        changed = {**database, "params": {**database.get("params", {}), **encryption}}
        return super().from_config_value(
            inst_data, {**config_value, "postgres_db": cast(PostgresStorageConfigDb, changed)}
        )
