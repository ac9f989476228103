"""What the ledger knows: which sessions were committed, by whom, and what each commit did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from resources.connections import Connectable
from resources.statements import statement
from resources.tables import Dataset


@dataclass(frozen=True)
class Commit:
    """One committed load of one session, as its line in the ledger has it; counts are rows."""

    id: int
    """Grows with each attempt at a session, so that the newest commit has the highest."""
    run_id: str
    session: date
    source: str
    simulated: bool
    provisional: bool
    symbols: tuple[str, ...] | None
    """The symbols the run was limited to; None: all."""
    loaded: int
    replaced: int
    quarantined: int
    checksum: int
    refused: Mapping[str, int] = field(default_factory=dict)
    """Rows quarantined, by reason; known while it is new."""


def committed_sessions(
    database: Connectable, dataset: Dataset, first: date, last: date
) -> dict[date, int]:
    """Sessions from ``first`` to ``last`` whose full load was committed, and the rows of the
    newest one. Raises ``DatabaseError``."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("ledger/committed_sessions"), (dataset.value, first, last))
        return dict(cursor.fetchall())


def newest_commits(database: Connectable, dataset: Dataset) -> dict[date, Commit]:
    """The newest commit of every session that has one. Raises ``DatabaseError``."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("ledger/newest_commits"), (dataset.value,))
        rows = cursor.fetch_arrow_table().to_pylist()
    commits = [
        Commit(**row | {"symbols": row["symbols"] and tuple(row["symbols"])}) for row in rows
    ]
    return {commit.session: commit for commit in commits}


def committed_by(database: Connectable, dataset: Dataset, run_ids: Sequence[str]) -> set[date]:
    """The sessions that any of the runs committed. Raises ``DatabaseError``."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("ledger/committed_by"), (dataset.value, list(run_ids)))
        return {session for (session,) in cursor.fetchall()}
