"""Reconciliation as asset checks: run with the asset that they are checks of, and by a sensor when
one of their other sides was loaded later.

Each session has its own evaluation. Where a side is missing, it says so and passes.
"""

import time
from collections.abc import Iterator
from datetime import date

import dagster as dg

from resources.checks.reconciliation import (
    RECONCILIATIONS,
    Reconciliation,
    newest_loads,
    outdated,
    reconcile,
)
from resources.checks.results import Result
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import named, session_partitions

_INTERVAL = 60
_SECONDS = 20
"""A tick compares sessions for so long; the next one goes on."""


def reconciliation_checks(settings: MarketSettings) -> list[dg.AssetChecksDefinition]:
    """A check for each reconciliation."""
    return [_check(one, settings) for one in RECONCILIATIONS]


def _check(one: Reconciliation, settings: MarketSettings) -> dg.AssetChecksDefinition:
    dataset = Dataset(one.asset) if one.asset in list(Dataset) else Dataset.MINUTE_BARS

    @dg.asset_check(
        asset=one.asset,
        name=one.rule.name,
        description=one.rule.description,
        partitions_def=session_partitions(dataset, settings),
        required_resource_keys={"timescaledb", "application_database"},
    )
    def check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        databases = context.resources.timescaledb, context.resources.application_database
        sessions = [date.fromisoformat(key) for key in context.partition_keys]
        failed: list[date] = []
        evaluated = 0
        loads = newest_loads(*databases)
        results = reconcile(
            *databases, loads, [(one, session) for session in sessions], context.run.run_id
        )
        for _, session, result in results:
            context.instance.report_runless_asset_event(_evaluation(one, session, result))
            evaluated += "not_evaluated" not in result.details
            if not result.passed:
                failed.append(session)
                context.log.warning(
                    f"{session}: {result.found:,} of {result.checked:,} differ ({one.rule.name})"
                )
        return dg.AssetCheckResult(
            passed=not failed,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"Differences in {named(failed)}" if failed else None,
            metadata={
                "sessions": len(sessions),
                "sessions_evaluated": evaluated,
                "sessions_failed": len(failed),
            },
        )

    return check


def reconciliation_sensor() -> dg.SensorDefinition:
    """The sensor that compares what was loaded since it was compared last."""

    @dg.sensor(
        name="reconciliation",
        minimum_interval_seconds=_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Compares sessions with their other sides once all are there, and again after "
        "each load of one of them.",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        timescaledb: TimescaleDB,
        application_database: ApplicationDatabase,
    ) -> dg.SensorResult:
        events: list[dg.AssetCheckEvaluation] = []
        try:
            for evaluation, line in compare_outdated(timescaledb, application_database, _SECONDS):
                events.append(evaluation)
                context.log.info(line)
        except DatabaseError as error:
            return dg.SensorResult(skip_reason=str(error), asset_events=events)
        said = f"Compared {len(events)} sessions" if events else "Everything is compared as it is"
        return dg.SensorResult(skip_reason=f"{said}.", asset_events=events)

    return sensor


def compare_outdated(
    timescaledb: TimescaleDB, application_database: ApplicationDatabase, seconds: float
) -> Iterator[tuple[dg.AssetCheckEvaluation, str]]:
    """Compare what is outdated, newest sessions first, for so long; evaluations, and a line each.
    Raises ``DatabaseError``."""
    until = time.monotonic() + seconds
    loads = newest_loads(timescaledb, application_database)
    what = outdated(timescaledb, loads)
    for one, session, result in reconcile(
        timescaledb, application_database, loads, what, "reconciliation"
    ):
        line = f"{one.asset} {session} {one.rule.name}: {result.found:,} of {result.checked:,}"
        yield _evaluation(one, session, result), line
        if time.monotonic() > until:
            return


def _evaluation(one: Reconciliation, session: date, result: Result) -> dg.AssetCheckEvaluation:
    numbers = {
        name: value
        for name, value in result.details.items()
        if name not in ("examples", "against") and isinstance(value, int | float | str)
    }
    apart = {
        name: dg.MetadataValue.json(value)
        for name, value in result.details.items()
        if isinstance(value, dict)
    }
    examples = result.details.get("examples") or []
    table = (
        {
            "differences": dg.MetadataValue.table(
                [
                    dg.TableRecord({name: _cell(cell) for name, cell in example.items()})
                    for example in examples
                ]
            )
        }
        if examples
        else {}
    )
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(one.asset),
        check_name=one.rule.name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity.WARN,
        partition=str(session),
        description=result.details.get("not_evaluated"),
        metadata={"checked": result.checked, "found": result.found, **numbers, **apart, **table},
    )


def _cell(value: object) -> str | int | float | bool | None:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
