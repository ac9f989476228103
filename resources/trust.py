"""Which sessions can be trusted: what every part of the platform says of a session, in one place.

A session is trusted when its symbols, bars and flows are loaded as a whole, final and checked, no
rule of severity error fails, and its candles are made of these bars. It is wrong when such a rule
fails, whatever else is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from hashlib import sha256

from resources.calendar import KrxCalendar
from resources.checks.context import Load, loads
from resources.checks.results import verdicts
from resources.checks.rules import Severity
from resources.connections import Databases
from resources.databases import TimescaleMaintainer, persistently
from resources.ledger import Commit, newest_commits
from resources.quarantine import by_reason
from resources.refresh import stale_sessions
from resources.statements import statement
from resources.tables import Dataset

DATASETS = (Dataset.SYMBOLS, Dataset.DAILY_BARS, Dataset.MINUTE_BARS, Dataset.SUPPLY_DEMAND)
"""What a session is made of."""


class Standing(StrEnum):
    """Whether a session can be trusted."""

    TRUSTED = "trusted"
    WRONG = "wrong"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Finding:
    """A rule that does not hold in a session's newest load."""

    dataset: Dataset
    rule: str
    severity: Severity
    found: int
    checked: int

    def __str__(self) -> str:
        return f"{self.rule} ({self.found:,} of {self.checked:,})"


@dataclass(frozen=True)
class Part:
    """One dataset of a session: its newest commit, and whether a check has seen it."""

    commit: Commit
    load: Load
    checked: bool


@dataclass(frozen=True)
class Session:
    """What is known of a session."""

    session: date
    expected: tuple[Dataset, ...]
    """Datasets that are kept from this session on, or earlier."""
    parts: Mapping[Dataset, Part]
    findings: tuple[Finding, ...]
    stale: tuple[str, ...] = ()
    """Aggregates that are not of the newest minute bars."""

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]

    @property
    def standing(self) -> Standing:
        if self.errors:
            return Standing.WRONG
        return Standing.INCOMPLETE if self.lacks() else Standing.TRUSTED

    @property
    def inputs(self) -> str:
        """Changes whenever a report would say something else."""
        said = [
            *((dataset, part.commit.id, part.checked) for dataset, part in self.parts.items()),
            *map(str, self.findings),
            *self.stale,
            *self.expected,
        ]
        return sha256(repr(said).encode()).hexdigest()[:16]

    def lacks(self) -> list[str]:
        """What is missing, each with what brings it."""
        missing = []
        for dataset in self.expected:
            load = f"dg launch --assets {dataset} --partition {self.session}"
            part = self.parts.get(dataset)
            if part is None:
                missing.append(f"{dataset} is not loaded ({load})")
            elif not part.load.whole:
                missing.append(f"{dataset} is loaded for named symbols only ({load})")
            elif part.load.provisional:
                missing.append(f"{dataset} is provisional ({load})")
            elif not part.checked:
                missing.append(
                    f"{dataset} is not checked (job {dataset}_check, or the sensor "
                    "unchecked_sessions)"
                )
        if self.stale and Dataset.MINUTE_BARS in self.expected:
            missing.append(
                f"{', '.join(self.stale)} are older than the minute bars (dg launch --assets "
                f"{','.join(self.stale)} --partition {self.session}, or the sensor stale_candles)"
            )
        return missing

    @property
    def why(self) -> str:
        """For people: which rules fail, what is missing, and what to run."""
        if self.standing is Standing.TRUSTED:
            return "everything is loaded, final and checked, and no rule of severity error fails"
        said = []
        for dataset in dict.fromkeys(finding.dataset for finding in self.errors):
            rules = ", ".join(str(one) for one in self.errors if one.dataset is dataset)
            said.append(
                f"{dataset} fails {rules}: see its checks, correct the source, then run "
                f"dg launch --assets {dataset} --partition {self.session}"
            )
        return "; ".join([*said, *self.lacks()])


@persistently
def known_sessions(
    databases: Databases,
    maintainer: TimescaleMaintainer,
    calendar: KrxCalendar,
    first_sessions: Mapping[Dataset, date],
) -> dict[date, Session]:
    """Every session that has a commit of anything, oldest first; ``first_sessions`` says from when
    on each dataset is kept. Raises ``DatabaseError``."""
    # The candles first: what is refreshed meanwhile is stale in this report, and not the reverse.
    stale = {one.session: one.aggregates for one in stale_sessions(maintainer)}
    parts: dict[date, dict[Dataset, Part]] = {}
    findings: dict[date, list[Finding]] = {}
    for dataset in DATASETS:
        database = databases.of(dataset)
        found = _findings(databases, dataset)
        judged = verdicts(databases.timescaledb, dataset, database)
        known = loads(database, dataset, calendar.sessions[0], calendar.sessions[-1])
        for session, commit in newest_commits(database, dataset).items():
            verdict, load = judged.get(session), known.get(session)
            if load is None or load.ledger_id != commit.id:
                continue  # Loaded between two of these questions: it is asked again.
            checked = verdict is not None and verdict.checked and verdict.ledger_id == commit.id
            parts.setdefault(session, {})[dataset] = Part(commit, load, checked)
            findings.setdefault(session, []).extend(found.get((session, commit.id), ()))
    return {
        session: Session(
            session,
            tuple(one for one in DATASETS if first_sessions[one] <= session),
            parts[session],
            tuple(findings[session]),
            stale.get(session, ()),
        )
        for session in sorted(parts)
    }


def _findings(databases: Databases, dataset: Dataset) -> dict[tuple[date, int], list[Finding]]:
    with databases.timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("report/findings"), (dataset.value,))
        found: dict[tuple[date, int], list[Finding]] = {}
        for session, ledger_id, rule, severity, broken, checked in cursor.fetchall():
            found.setdefault((session, ledger_id), []).append(
                Finding(dataset, rule, Severity(severity), broken, checked)
            )
    return found


@persistently
def reported_inputs(databases: Databases) -> dict[date, str]:
    """What the newest report of each session was about (``Session.inputs``). Raises
    ``DatabaseError``."""
    with databases.timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("report/reports"))
        return dict(cursor.fetchall())


@persistently
def record_report(databases: Databases, known: Session, run_id: str, looked: datetime) -> None:
    """Write down what is said of a session that was looked at then, unless it was looked at later
    already. Raises ``DatabaseError``."""
    with databases.timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            statement("report/record_report"),
            (
                known.session,
                known.standing.value,
                known.why,
                known.inputs,
                run_id,
                looked.isoformat(),
            ),
        )
        connection.commit()


@persistently
def refused_rows(databases: Databases, session: date) -> dict[Dataset, dict[str, int]]:
    """Rows of the session in the quarantine, by single reason. Raises ``DatabaseError``."""
    found: dict[Dataset, dict[str, int]] = {}
    for database in (databases.application, databases.timescaledb):
        held = [dataset for dataset in DATASETS if databases.of(dataset) is database]
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                statement("report/refused"), (session, [dataset.value for dataset in held])
            )
            rows = cursor.fetchall()
        for dataset in held:
            reasons = {reason: count for asset, reason, count in rows if asset == dataset}
            if reasons:
                found[dataset] = by_reason(reasons)
    return found
