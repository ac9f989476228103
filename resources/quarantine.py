"""The quarantine: every refused row once, as its source gave it, with why, whence and by which run.

A committed load replaces the quarantine of what it loads. An attempt that changed nothing adds to
it; what was there already stays there once, with the run that refused it first.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from resources.connections import Connectable
from resources.databases import persistently
from resources.statements import statement, typed
from resources.tables import Dataset

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Cursor

    from resources.loading import Attempt, Refused

_BATCH = 20_000
# What validation says of a cell of another type quotes the cell, which may hold anything.
_OF_TYPE = re.compile(r"(?:^|; )(\w+ is not (?:text|a [a-z ]+|true or false)): ")


def lock_quarantine(cursor: "Cursor", dataset: Dataset, session: date) -> None:
    """Wait until nobody else writes refused rows of the session; held until the transaction ends.
    Whoever holds the session's own lock as well takes that one first."""
    cursor.execute(statement("loading/lock_session"), (f"quarantine of {dataset}", session))


def replace_refused(cursor: "Cursor", attempt: "Attempt", refused: "Refused") -> None:
    """Refused rows of a load: those of earlier loads of the session, or of the symbols it is
    limited to, are gone."""
    import pyarrow as pa

    about = (attempt.table.dataset.value, attempt.session)
    lock_quarantine(cursor, attempt.table.dataset, attempt.session)
    cursor.execute(
        statement("quarantine/delete"),
        typed(
            asset=(attempt.table.dataset.value, pa.string()),
            session=(attempt.session, pa.date32()),
            symbols=(attempt.symbols, pa.list_(pa.string())),
        ),
    )
    if not len(refused):
        return
    newest = _newest(cursor, about)
    _insert(cursor, attempt, refused)
    if newest:
        cursor.execute(statement("quarantine/keep_newer"), (*about, newest))


def add_refused(cursor: "Cursor", attempt: "Attempt", refused: "Refused") -> None:
    """Refused rows of an attempt that changed nothing."""
    if not len(refused):
        return
    about = (attempt.table.dataset.value, attempt.session)
    lock_quarantine(cursor, attempt.table.dataset, attempt.session)
    newest = _newest(cursor, about)
    _insert(cursor, attempt, refused)
    if newest:
        cursor.execute(statement("quarantine/keep_older"), (*about, newest))


def _newest(cursor: "Cursor", about: tuple[str, date]) -> int:
    cursor.execute(statement("quarantine/newest"), about)
    newest: int = cursor.fetchone()[0]
    return newest


def _insert(cursor: "Cursor", attempt: "Attempt", refused: "Refused") -> None:
    from resources.documents import documents, storable

    if refused.rows is None:
        return
    for start in range(0, len(refused), _BATCH):
        batch = slice(start, start + _BATCH)
        cursor.execute(
            statement("quarantine/insert"),
            (
                attempt.table.dataset.value,
                attempt.session,
                attempt.source,
                attempt.run_id,
                [storable(reason) for reason in refused.reasons[batch]],
                documents(refused.rows.iloc[batch]),
            ),
        )


def single_reasons(reason: str) -> list[str]:
    """The reasons that a row was refused for, each without the cell that it quotes."""
    return _OF_TYPE.findall(reason) or reason.split("; ")


def by_reason(reasons: Iterable[str] | Mapping[str, int]) -> dict[str, int]:
    """How many rows were refused for each single reason, most first; a row may be refused for
    several."""
    counted: Counter[str] = Counter()
    for reason, rows in Counter(reasons).items():
        counted.update(dict.fromkeys(single_reasons(reason), rows))
    return dict(sorted(counted.items(), key=lambda one: (-one[1], one[0])))


@persistently
def quarantined_by_reason(database: Connectable, dataset: Dataset, session: date) -> dict[str, int]:
    """Rows in the quarantine by single reason, most first. Raises ``DatabaseError``."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("quarantine/count_by_reason"), (dataset.value, session))
        return by_reason(dict(cursor.fetchall()))
