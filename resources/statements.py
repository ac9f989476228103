"""SQL statements, kept in ``sql/`` and read here. Values are always passed as parameters."""

from functools import cache
from typing import TYPE_CHECKING

from resources.settings import PROJECT_ROOT

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg.sql import Composable, Composed


@cache
def statement(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return (PROJECT_ROOT / "sql" / f"{name}.sql").read_text()


def composed(name: str, /, **parts: "Composable") -> "Composed":
    """``sql/<name>.sql`` with ``{part}`` filled in: for names, and for DDL, which knows no
    parameters. What is filled in is quoted by psycopg."""
    from psycopg.sql import SQL

    return SQL(statement(name)).format(**parts)


def typed(**values: "tuple[object, pa.DataType]") -> "pa.RecordBatch":
    """A statement's parameters, ``$1`` first, with their types. For those that may be null: to ADBC
    a null has no type, and the server is asked twice."""
    import pyarrow as pa

    schema = pa.schema([(name, kind) for name, (_, kind) in values.items()])
    return pa.record_batch([[value] for value, _ in values.values()], schema=schema)
