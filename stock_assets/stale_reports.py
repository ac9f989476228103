"""The sensor that keeps session reports up: it asks the databases which sessions are not as their
newest report says, and requests runs for those that can be judged.

It decides as ``stale_candles`` does. Sessions that are wrong have runs of their own: such a run
fails, and would take with it what is not at fault.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING
from zlib import crc32

import dagster as dg

from resources.calendar import krx_calendar, seoul_now
from resources.connections import Databases
from resources.databases import (
    ApplicationDatabase,
    DatabaseError,
    TimescaleDB,
    TimescaleMaintainer,
)
from resources.settings import MarketSettings
from stock_assets.session_report import NAME, first_sessions
from stock_assets.stale_candles import Plan, Subject, Try, plan, runs_under_way

if TYPE_CHECKING:
    from resources.trust import Session

REPORTS = Subject(
    "session_reports",
    "there is no such partition (…_FIRST_SESSION)",
    "materialise it by hand",
)
_INTERVAL = 30


@dataclass(frozen=True)
class StaleReport:
    """A session that is not as its newest report says."""

    session: date
    ledger_id: int
    """Of what it is now: commits, findings and candles in one number."""
    wrong: bool
    aggregates: tuple[str, ...] = (NAME,)
    dropped: bool = False
    blocked_by: tuple[str, ...] = ()


def stale_reports(report: dg.AssetsDefinition, settings: MarketSettings) -> dg.SensorDefinition:
    """The sensor over ``report``."""
    partitions = report.partitions_def
    assert partitions is not None  # noqa: S101 - session_report_asset gives it some

    @dg.sensor(
        name="stale_reports",
        job=dg.define_asset_job(
            REPORTS.job, selection=[report], description="Reports of sessions that changed."
        ),
        minimum_interval_seconds=_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports sessions whose loads, checks or candles changed since their report.",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        timescaledb: TimescaleDB,
        timescaledb_maintainer: TimescaleMaintainer,
        application_database: ApplicationDatabase,
    ) -> dg.SensorResult:
        from resources.trust import Standing, known_sessions, reported_inputs

        # First the runs: what one of them reports meanwhile is left to it for this tick.
        runs = runs_under_way(context.instance)
        try:
            with Databases.held(timescaledb, application_database) as databases:
                reported = reported_inputs(databases)
                known = known_sessions(
                    databases, timescaledb_maintainer, krx_calendar(), first_sessions(settings)
                )
        except DatabaseError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        stale = [
            StaleReport(day, crc32(one.inputs.encode()), one.standing is Standing.WRONG)
            for day, one in known.items()
            if one.standing is not Standing.INCOMPLETE and reported.get(day) != one.inputs
        ]
        tries = {key: Try(**value) for key, value in json.loads(context.cursor or "{}").items()}
        keys = set(partitions.get_partition_keys())
        decided = Plan()
        for wrong in (False, True):
            part = [one for one in stale if one.wrong is wrong]
            made = plan(part, keys, runs, tries, seoul_now(), REPORTS)
            decided.requests += made.requests
            decided.lines += made.lines
            decided.tries |= made.tries
        if decided.requests:
            for line in decided.lines:
                context.log.info(line)
        text = " ".join(decided.lines) or _nothing(known)
        return dg.SensorResult(
            run_requests=decided.requests,
            skip_reason=None if decided.requests else text,
            cursor=json.dumps({key: asdict(value) for key, value in decided.tries.items()}),
        )

    return sensor


def _nothing(known: "dict[date, Session]") -> str:
    counts: dict[str, int] = {}
    for one in known.values():
        counts[one.standing.value] = counts.get(one.standing.value, 0) + 1
    said = ", ".join(f"{count:,} {standing}" for standing, count in sorted(counts.items()))
    return f"Every session that can be judged is reported ({said or 'none is loaded'})."
