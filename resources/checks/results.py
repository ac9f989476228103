"""What the rules found, and what follows from it: which sessions are blocked, which unchecked.

Results are in TimescaleDB, those of ``symbols`` too. They speak of one commit: a later load of the
session makes them meaningless.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from resources.checks.rules import Severity
from resources.databases import Database, TimescaleDB
from resources.ledger import newest_commits
from resources.statements import statement
from resources.tables import Dataset


@dataclass(frozen=True)
class Result:
    """What one rule found in one commit of a session."""

    rule: str
    severity: Severity
    """Of this result: an error rule that only refused rows break is a warning."""
    passed: bool
    checked: int
    """Rows or symbols looked at; 0 where there was nothing to judge by, as ``details`` says."""
    found: int
    """How many of them break the rule."""
    ledger_id: int
    details: Mapping[str, Any] = field(default_factory=dict)
    """Numbers, and under ``examples`` a list of up to 20 of what was found."""

    @property
    def blocks(self) -> bool:
        return not self.passed and self.severity is Severity.ERROR


def keep_results(
    timescaledb: TimescaleDB,
    asset: str,
    session: date,
    results: Sequence[Result],
    run_id: str,
) -> None:
    """Write down what rules found in a session, in one transaction; results of a later load
    stay. Raises ``DatabaseError``."""
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            statement("checks/keep_results"),
            (
                str(asset),
                session,
                json.dumps(
                    [
                        {
                            "rule": result.rule,
                            "severity": result.severity.value,
                            "passed": result.passed,
                            "ledger_id": result.ledger_id,
                            "checked": result.checked,
                            "found": result.found,
                            "details": result.details,
                        }
                        for result in results
                    ],
                    ensure_ascii=False,
                ),
                run_id,
            ),
        )
        connection.commit()


def results_of(timescaledb: TimescaleDB, dataset: Dataset, session: date) -> list[Result]:
    """What is known of a session, by rule; it may speak of an older load (``ledger_id``). Raises
    ``DatabaseError``."""
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("checks/results_of"), (dataset.value, session))
        rows = cursor.fetch_arrow_table().to_pylist()
    return [
        Result(
            **row | {"severity": Severity(row["severity"]), "details": json.loads(row["details"])}
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Verdict:
    """What the checks say of the newest commit of a session."""

    ledger_id: int
    checked: bool
    blocked_by: tuple[str, ...]
    """Names of the error rules that failed."""


def verdicts(
    timescaledb: TimescaleDB, dataset: Dataset, ledger: Database | None = None
) -> dict[date, Verdict]:
    """The verdict on every session that has a commit. ``ledger`` is the database the dataset is
    in (default: TimescaleDB). Raises ``DatabaseError``."""
    commits = {
        session: commit.id
        for session, commit in newest_commits(ledger or timescaledb, dataset).items()
    }
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("checks/verdicts"), (dataset.value,))
        known = {(session, id): tuple(rules) for session, id, rules in cursor.fetchall()}
    return {
        session: Verdict(id, (session, id) in known, known.get((session, id), ()))
        for session, id in commits.items()
    }


def blocked_sessions(
    timescaledb: TimescaleDB, dataset: Dataset, ledger: Database | None = None
) -> dict[date, tuple[str, ...]]:
    """Sessions whose newest commit fails an error rule, and the names of those rules. Raises
    ``DatabaseError``."""
    return {
        session: verdict.blocked_by
        for session, verdict in verdicts(timescaledb, dataset, ledger).items()
        if verdict.blocked_by
    }


def unchecked_sessions(
    timescaledb: TimescaleDB, dataset: Dataset, ledger: Database | None = None
) -> list[date]:
    """Sessions whose newest commit no check has seen, oldest first. Raises ``DatabaseError``."""
    return sorted(
        session
        for session, verdict in verdicts(timescaledb, dataset, ledger).items()
        if not verdict.checked
    )
