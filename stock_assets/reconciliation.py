"""Reconciliation as asset checks: run with the asset that they are checks of, and by a sensor when
one of their other sides was loaded later.

Each session has its own evaluation, in a run: Dagster keeps one per check, session and run, and
without a run only a single one for ever. Where a side is missing, it says so and passes.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from resources.calendar import seoul_now
from resources.checks.reconciliation import (
    RECONCILIATIONS,
    Loads,
    Reconciliation,
    newest_loads,
    outdated,
    reconcile,
)
from resources.checks.results import Result
from resources.connections import Databases
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import contiguous, named, session_partitions
from stock_assets.record import record
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

_INTERVAL = 60
_RUNS = 5
"""Runs that one tick may request of a reconciliation."""


def reconciliation_checks(settings: MarketSettings) -> dict[str, dg.AssetChecksDefinition]:
    """A check for each reconciliation, by the name of its rule."""
    return {one.rule.name: _check(one, settings) for one in RECONCILIATIONS}


def _dataset(one: Reconciliation) -> Dataset:
    """Whose partitions the asset has: candles those of minute bars."""
    return Dataset(one.asset) if one.asset in list(Dataset) else Dataset.MINUTE_BARS


def _check(one: Reconciliation, settings: MarketSettings) -> dg.AssetChecksDefinition:
    spec = dg.AssetCheckSpec(
        one.rule.name,
        asset=one.asset,
        description=one.rule.description,
        partitions_def=session_partitions(_dataset(one), settings),
        metadata={"severity": one.rule.severity.value},
    )

    @dg.multi_asset_check(
        name=f"{one.asset}_{one.rule.name}",
        specs=[spec],
        description=one.rule.description,
        required_resource_keys={"timescaledb", "application_database"},
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.Output[None]]:
        op = context.op_execution_context
        claim_run(op)
        resources = context.resources
        what = [(one, date.fromisoformat(key)) for key in op.partition_keys]
        with Databases.held(resources.timescaledb, resources.application_database) as databases:
            results = reconcile(databases, newest_loads(databases), what, op.run.run_id)
            for done, (_, session, result) in enumerate(results, start=1):
                record(op, _evaluation(one, session, result))
                log = op.log.info if result.passed else op.log.warning
                said = result.details.get(
                    "not_evaluated", f"{result.found:,} of {result.checked:,}"
                )
                log(f"{session}: {one.rule.name}: {said} [{done}/{len(what)} sessions]")
        # A bare output: the range as a whole has no evaluation of its own.
        yield dg.Output(None, output_name=spec.get_python_identifier())

    return check


def reconciliation_jobs(
    checks: dict[str, dg.AssetChecksDefinition],
) -> dict[str, "UnresolvedAssetJobDefinition"]:
    """A job per reconciliation, which compares a session or a range of them."""
    return {
        rule: dg.define_asset_job(
            f"{rule}_reconciliation",
            selection=dg.AssetSelection.checks(check),
            description="Compares one session, or a range of them, without loading.",
        )
        for rule, check in checks.items()
    }


def reconciliation_sensor(
    jobs: dict[str, "UnresolvedAssetJobDefinition"], settings: MarketSettings
) -> dg.SensorDefinition:
    """The sensor that has compared what was loaded since it was compared last; ``jobs`` are those
    of ``reconciliation_jobs``."""

    @dg.sensor(
        name="reconciliation",
        jobs=list(jobs.values()),
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
        try:
            with Databases.held(timescaledb, application_database) as databases:
                loads = newest_loads(databases)
                due = outdated(databases, loads)
        except DatabaseError as error:
            return dg.SensorResult(skip_reason=str(error))
        requests: list[dg.RunRequest] = []
        for one in RECONCILIATIONS:
            keys = set(session_partitions(_dataset(one), settings).get_partition_keys())
            sessions = {day for rule, day in due if rule is one and str(day) in keys}
            # The newest sessions first.
            for first, last in contiguous(sessions)[::-1][:_RUNS]:
                job = jobs[one.rule.name].name
                requests.append(_request(one, job, first, last, loads, seoul_now()))
            if sessions:
                context.log.info(f"{one.rule.name} of {named(sessions)}")
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SensorResult(skip_reason="Everything is compared as it is.")

    return sensor


def _request(
    one: Reconciliation, job: str, first: date, last: date, loads: Loads, now: datetime
) -> dg.RunRequest:
    newest = [
        max(id for (asset, day), id in loads.items() if asset == side and first <= day <= last)
        for side in one.sides
    ]
    return dg.RunRequest(
        # The same is asked for again within the hour only where something was loaded meanwhile.
        run_key=f"{one.rule.name} {first} {last} {newest} {now:%Y-%m-%d %H}",
        job_name=job,
        tags={
            ASSET_PARTITION_RANGE_START_TAG: str(first),
            ASSET_PARTITION_RANGE_END_TAG: str(last),
        },
    )


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
