"""Refused rows judged again, by the rules of today: those that pass are loaded in the transaction
that takes them out of the quarantine.

A session's rows move only beside the rows they came with: those of a load that was committed. What
an attempt brought that was refused as a whole stays, since its good rows are not in the table
either: that session is to be loaded. All refused rows of a session are judged together, so that
two rows of one key, of which neither can be trusted, stay two.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import pandas as pd

from resources.canonical import canonical, checksum
from resources.connections import Connectable
from resources.databases import DatabaseError, persistently
from resources.ledger import Commit
from resources.loading import Attempt, begin, write_ledger, write_members
from resources.quarantine import lock_quarantine, single_reasons
from resources.refused_rows import RefusedRow, as_they_came, cannot_be_judged
from resources.statements import statement
from resources.tables import Dataset, Table
from resources.validation import split

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Cursor


@dataclass
class Requeued:
    """What became of one session's refused rows."""

    session: date
    commits: list[Commit] = field(default_factory=list)
    """What was loaded: one commit for each source the rows are from."""
    rows: int = 0
    """Of the session in the table now; 0 where nothing was loaded."""
    loaded: int = 0
    stay: Counter[str] = field(default_factory=Counter)
    """Rows that stay, by why."""

    @property
    def stays(self) -> int:
        return sum(self.stay.values())


def quarantined_sessions(
    database: Connectable, dataset: Dataset, sessions: Sequence[date] | None = None
) -> list[date]:
    """Sessions with refused rows, oldest first; of ``sessions`` only, if given. Raises
    ``DatabaseError``."""
    named = None if sessions is None else [str(session) for session in sessions]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("requeue/sessions"), (dataset.value, named))
        return [session for (session,) in cursor.fetchall()]


@persistently
def requeue(
    database: Connectable,
    table: Table,
    session: date,
    *,
    run_id: str,
    now: datetime,
    reason: re.Pattern[str] | None = None,
    dry_run: bool = False,
) -> Requeued:
    """Judge the session's refused rows again (those whose reason matches ``reason``), load those
    that pass, and commit; ``dry_run`` does all of it and rolls back.

    ``now`` has a zone. Raises ``DatabaseError``; nothing has changed then.
    """
    result = Requeued(session)
    about = (table.dataset.value, session)
    with database.connect() as connection, connection.cursor() as cursor:
        begin(cursor, table, session)
        lock_quarantine(cursor, table.dataset, session)
        cursor.execute(statement("requeue/newest_state"), about)
        state = cursor.fetchone()
        cursor.execute(statement("requeue/of_failed_attempts"), about)
        failed = sum(rows for text, rows in cursor.fetchall() if _matches(reason, text))
        if failed:
            result.stay[_of_failed_attempts(table, session)] = failed
        cursor.execute(statement("requeue/rows"), about)
        rows = [RefusedRow(*row) for row in cursor.fetchall()]
        if state is not None and state[0] == "dropped":
            gone = sum(_matches(reason, row.reason) for row in rows)
            result.stay["retention dropped the session's rows"] = gone
        elif state is not None and rows:
            _judge(cursor, table, rows, result, run_id, now, reason, provisional=state[1])
        if not dry_run:
            connection.commit()
    return result


def _judge(
    cursor: "Cursor",
    table: Table,
    rows: list[RefusedRow],
    result: Requeued,
    run_id: str,
    now: datetime,
    reason: re.Pattern[str] | None,
    *,
    provisional: bool,
) -> None:
    session = result.session
    judgeable = [row for row in rows if not cannot_be_judged(row, table)]
    said = {row.id: row.reason for row in rows}
    judged = split(as_they_came(judgeable, table), table, session, now)
    for place, text in zip(judged.refused.index, judged.reasons, strict=True):
        said[judgeable[place].id] = text
    asked = {row.id: row for row in rows if _matches(reason, row.reason)}
    passing = judged.good[[judgeable[place].id in asked for place in judged.good.index]]
    by_source: dict[tuple[str, bool], list[int]] = {}
    for place in passing.index:
        row = judgeable[place]
        by_source.setdefault((row.source, row.simulated), []).append(place)
    cursor.execute(statement("loading/newest_load"), (table.dataset.value, session))
    newest = cursor.fetchone()
    taken: set[int] = set()
    for (source, simulated), places in by_source.items():
        ids = [judgeable[place].id for place in places]
        if newest is not None and newest[0] != simulated:
            kinds = ("simulated", "real") if newest[0] else ("real", "simulated")
            for id in ids:
                said[id] = f"{kinds[1]}, and the session's rows are {kinds[0]}"
            continue
        arrow = canonical(passing.loc[places], table)
        existing = _existing(cursor, table, session, arrow)
        for number in existing:
            said[ids[number]] = f"duplicate of ({', '.join(table.key)}) in the table"
        left = [number for number in range(len(ids)) if number not in existing]
        if left:
            taken |= {ids[number] for number in left}
            attempt = Attempt(
                table, session, None, run_id, source, simulated, provisional, started_at=now
            )
            stays = len(rows) - len(taken)
            result.commits.append(_move(cursor, attempt, arrow.take(left), stays))
    staying = [row for row in asked.values() if row.id not in taken]
    _take_out(cursor, taken)
    if staying:
        cursor.execute(
            statement("requeue/set_reasons"),
            ([row.id for row in staying], [said[row.id] for row in staying]),
        )
    result.loaded = len(taken)
    for row in staying:
        result.stay["; ".join(single_reasons(said[row.id]))] += 1
    if taken:
        cursor.execute(statement("checks/loads"), (table.dataset.value, session, session))
        result.rows = cursor.fetch_arrow_table().to_pylist()[0]["rows"]


def _move(cursor: "Cursor", attempt: Attempt, rows: "pa.Table", stays: int) -> Commit:
    """Write rows beside those of the session, and a line in the ledger as for a load of their
    symbols; so all that follows a load follows this one."""
    attempt = replace(attempt, symbols=tuple(sorted(set(rows["symbol"].to_pylist()))))
    if attempt.table.dated:
        write_members(cursor, attempt, rows)
    else:
        cursor.adbc_ingest(attempt.table.name, rows, mode="append", db_schema_name="public")
    total = checksum(rows)
    counts = (rows.num_rows, 0, stays)
    line = write_ledger(cursor, attempt, "committed", counts, total, None)
    return attempt.committed(line, counts, total)


def _existing(cursor: "Cursor", table: Table, session: date, rows: "pa.Table") -> set[int]:
    """The places of rows whose key the table has."""
    keys = rows.select([name for name in table.key if name != "date"]).to_pandas()
    if "time" in keys:
        keys["time"] = keys["time"].map(pd.Timestamp.isoformat)
    keys["number"] = range(len(keys))
    cursor.execute(
        statement(f"requeue/existing_{table.name}"),
        (session, json.dumps(keys.to_dict("records"))),
    )
    return {number for (number,) in cursor.fetchall()}


def _take_out(cursor: "Cursor", ids: set[int]) -> None:
    if not ids:
        return
    # Only executemany reports how many rows a statement with parameters touched.
    cursor.executemany(statement("requeue/take_out"), [(sorted(ids),)])
    if cursor.rowcount != len(ids):
        raise DatabaseError(
            f"{cursor.rowcount:,} of {len(ids):,} rows were in the quarantine still, although it "
            "was locked: somebody else deletes from it; nothing was loaded"
        )


def can_be_requeued(table: Table) -> bool:
    """Whether rows can be added to a session: a load of some symbols is how the ledger counts them.
    A table that is not by symbol is loaded again as a whole."""
    return table.by_symbol


def _matches(reason: re.Pattern[str] | None, text: str) -> bool:
    return reason is None or reason.search(text) is not None


def _of_failed_attempts(table: Table, session: date) -> str:
    return (
        "of an attempt that loaded nothing, so its other rows are missing too; load the session: "
        f"dg launch --assets {table.dataset} --partition {session}"
    )
