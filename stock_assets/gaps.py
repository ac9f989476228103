"""The asset ``gaps``: what is missing or broken right now, and the command that repairs each."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from resources.aggregates import AGGREGATES
from resources.calendar import seoul_now
from resources.connections import Databases
from resources.databases import ApplicationDatabase, TimescaleDB, TimescaleMaintainer
from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import contiguous
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from resources.gaps import Finding

_DESCRIPTION = """\
What is missing or broken right now, across all tables: sessions, symbols and minutes that are
missing, failed checks, stale candles, provisional leftovers, attempts that failed; each with the
command that repairs it. Plotted: how many of each. The check `nothing_missing` fails while there
is anything.
"""

GAPS = "gaps"
_LINES = 50
"""Of the table; the counts are always of everything."""
_CELL = 160
"""Characters of what a table's cell may say."""


@dataclass(frozen=True)
class Stretch:
    """A gap that contiguous sessions have in common: one line, one command."""

    gap: str
    asset: str
    reason: str
    first: date
    last: date
    sessions: int
    found: int
    said: str
    """Of its newest session."""
    command: str


def stretches(findings: Iterable["Finding"]) -> list[Stretch]:
    """Findings of contiguous sessions made one, the worst first, then the newest."""
    alike: dict[tuple[str, ...], dict[date, Finding]] = {}
    for finding in findings:
        key = (finding.gap, finding.asset, finding.reason, *finding.repair)
        alike.setdefault(key, {})[finding.session] = finding
    found = []
    for sessions in alike.values():
        for first, last in contiguous(sessions):
            part = [finding for day, finding in sessions.items() if first <= day <= last]
            newest = sessions[last]
            found.append(
                Stretch(
                    gap=newest.gap,
                    asset=newest.asset,
                    reason=newest.reason,
                    first=first,
                    last=last,
                    sessions=len(part),
                    found=sum(finding.found for finding in part),
                    said=newest.said,
                    command=command(newest.repair, first, last),
                )
            )
    from resources.gaps import Gap

    order = list(Gap)
    return sorted(found, key=lambda one: (order.index(Gap(one.gap)), -one.last.toordinal()))


def command(assets: Iterable[str], first: date, last: date) -> str:
    """What materialises the sessions, in one run."""
    which = f"--partition {first}" if first == last else f"--partition-range {first}...{last}"
    return f"dg launch --assets {','.join(assets)} {which}"


def table(lines: list[Stretch]) -> str:
    """The first lines as a table, and how many there are beyond."""
    rows = ["| what | asset | sessions | found | | repair |", "|---|---|---|---|---|---|"]
    for line in lines[:_LINES]:
        days = str(line.first) if line.first == line.last else f"{line.first} to {line.last}"
        said = ": ".join(filter(None, (line.reason, line.said)))
        cells = (
            line.gap,
            line.asset,
            f"{days} ({line.sessions:,})",
            f"{line.found:,}",
            _cell(said),
            f"`{line.command}`",
        )
        rows.append(f"| {' | '.join(cells)} |")
    if len(lines) > _LINES:
        rows.append(f"\nand {len(lines) - _LINES:,} more lines")
    return "\n".join(rows) if lines else "Nothing is missing or broken."


def _cell(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "\\|").replace("`", "'")
    return plain if len(plain) <= _CELL else f"{plain[: _CELL - 1]}…"


def gaps_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    @dg.asset(
        name=GAPS,
        description=_DESCRIPTION,
        group_name="quality",
        kinds={"timescaledb", "postgresql"},
        owners=["team:market-data"],
        deps=[*(dataset.value for dataset in Dataset), *(one.name for one in AGGREGATES)],
        check_specs=[
            dg.AssetCheckSpec(
                "nothing_missing",
                asset=GAPS,
                description="No session, symbol or minute is missing, nothing failed, nothing is "
                "stale or provisional.",
            )
        ],
    )
    def look_for_gaps(
        context: dg.AssetExecutionContext,
        timescaledb: TimescaleDB,
        application_database: ApplicationDatabase,
        timescaledb_maintainer: TimescaleMaintainer,
    ) -> Iterator[dg.MaterializeResult[None]]:
        from resources.gaps import Gap, find_gaps

        claim_run(context)
        began = time.monotonic()
        with Databases.held(timescaledb, application_database) as databases:
            findings = find_gaps(databases, timescaledb_maintainer, settings, seoul_now())
        lines = stretches(findings)
        seconds = time.monotonic() - began
        sessions = Counter(finding.gap for finding in findings)
        state = (
            ", ".join(f"{sessions[gap]:,} × {gap}" for gap in Gap if sessions[gap])
            or "nothing is missing or broken"
        )
        context.log.info(state)
        for line in lines[:_LINES]:
            context.log.info(f"{line.gap} of {line.asset}: {line.command}")
        yield dg.MaterializeResult(
            metadata={
                "state": state,
                "gaps": dg.MetadataValue.md(table(lines)),
                "total": len(findings),
                **{gap.name.lower(): sessions[gap] for gap in Gap},
                "seconds": round(seconds, 3),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name="nothing_missing",
                    passed=not findings,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=state,
                    metadata={"total": len(findings)},
                )
            ],
        )

    return look_for_gaps
