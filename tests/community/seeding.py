"""Loading without COPY, for a server that cannot."""

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.databases import TimescaleDB

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection, Cursor


class TimescaleDBWithoutCopy(TimescaleDB):
    """TimescaleDB, with rows written by INSERT where the platform copies them; everything else of
    a load is the platform's own."""

    def open(self) -> "Connection":
        connection = super().open()
        make_cursor = connection.cursor

        def cursor() -> "Cursor":
            made = make_cursor()
            made.adbc_ingest = lambda *args, **options: _insert(made, *args, **options)
            return made

        connection.cursor = cursor
        return connection


def _insert(
    cursor: "Cursor", table: str, given: "pa.Table | pa.RecordBatchReader", **_: Any
) -> None:
    rows = given if isinstance(given, pa.Table) else given.read_all()
    names = ", ".join(rows.column_names)
    cursor.execute(
        f"INSERT INTO {table} ({names}) "  # noqa: S608
        f"SELECT {names} FROM json_populate_recordset(NULL::{table}, $1::json)",
        # Prices, dates and times as text: the table's own types read them, exactly.
        [json.dumps(rows.to_pylist(), default=str)],
    )
