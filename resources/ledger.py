"""What the ledger knows: which sessions were committed."""

from datetime import date

from resources.databases import Database
from resources.statements import statement
from resources.tables import Dataset


def committed_sessions(
    database: Database, dataset: Dataset, first: date, last: date
) -> dict[date, int]:
    """Sessions from ``first`` to ``last`` whose full load was committed, and the rows of the
    newest one. Raises ``DatabaseError``."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("ledger/committed_sessions"), (dataset.value, first, last))
        return dict(cursor.fetchall())
