"""Whether the ledger and a table say the same."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa

from resources.canonical import checksum
from resources.databases import Database
from resources.tables import Table

Query = Callable[..., list[tuple[Any, ...]]]


def assert_agreement(query: Query, database: Database, table: Table) -> dict[date, int]:
    """The table holds, of each session, exactly the rows of the ledger's newest committed load of
    it, by number and checksum, and nothing else; how many those are."""
    newest = {
        session: (rows, total)
        for session, rows, total in query(
            "SELECT DISTINCT ON (session) session, rows_loaded, checksum FROM ingest_ledger "
            "WHERE asset = %s AND outcome = 'committed' ORDER BY session, id DESC",
            [table.dataset.value],
        )
    }
    day = "(time AT TIME ZONE 'Asia/Seoul')::date" if "time" in table.column_names else "date"
    counted = dict(query(f"SELECT {day}, count(*) FROM {table.name} GROUP BY 1"))  # noqa: S608
    assert counted == {session: rows for session, (rows, _) in newest.items() if rows}
    with database.connect() as connection, connection.cursor() as cursor:
        for session, (_, total) in newest.items():
            cursor.execute(
                f"SELECT {', '.join(table.column_names)} FROM {table.name} "  # noqa: S608
                f"WHERE {day} = $1::date",
                (session,),
            )
            stored = cursor.fetch_arrow_table()
            columns = [
                getattr(column.combine_chunks(), "storage", column.combine_chunks()).cast(
                    field.type
                )
                for column, field in zip(stored.columns, table.arrow_schema(), strict=True)
            ]
            assert checksum(pa.table(columns, schema=table.arrow_schema())) == total
    return counted
