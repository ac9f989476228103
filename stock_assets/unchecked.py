"""The sensor that has sessions checked which no check has seen.

A run that loads a session checks it too; but where another session of the run failed, Dagster
skips the checks, and a process may die in between. Sessions are checked again where something came
that was lacking when they were (the members, the daily bars of the session before), and where
provisional rows have passed their final time. What a run under way has loaded is left to it.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from resources.calendar import krx_calendar, seoul_now
from resources.connections import Databases
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import contiguous, named, session_partitions

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

_RUNS = 5
"""Runs that one tick may request of a dataset."""


def check_jobs(
    checks: Mapping[Dataset, dg.AssetChecksDefinition],
) -> dict[Dataset, "UnresolvedAssetJobDefinition"]:
    """A job per dataset, which checks a session or a range of them."""
    return {
        dataset: dg.define_asset_job(
            f"{dataset}_check",
            selection=dg.AssetSelection.checks(check),
            description=f"Checks {dataset} of one session, or a range of them, without loading.",
        )
        for dataset, check in checks.items()
    }


def unchecked_sensor(
    jobs: Mapping[Dataset, "UnresolvedAssetJobDefinition"], settings: MarketSettings
) -> dg.SensorDefinition:
    """The sensor; ``jobs`` are those of ``check_jobs``."""

    @dg.sensor(
        name="unchecked_sessions",
        jobs=list(jobs.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests checks of loaded sessions that no check has seen.",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        timescaledb: TimescaleDB,
        application_database: ApplicationDatabase,
    ) -> dg.SensorResult:
        from resources.checks.due import due_sessions

        now = seoul_now()
        requests: list[dg.RunRequest] = []
        lines: list[str] = []
        with Databases.held(timescaledb, application_database) as databases:
            for dataset, job in jobs.items():
                keys = set(session_partitions(dataset, settings).get_partition_keys())
                try:
                    due = due_sessions(databases, dataset, krx_calendar(), settings, now)
                except DatabaseError as error:
                    return dg.SensorResult(skip_reason=str(error))
                over = _runs_that_are_over(context.instance, {one.run_id for one in due})
                ready = {
                    one.session: one.ledger_id
                    for one in due
                    if one.run_id in over and str(one.session) in keys
                }
                for first, last in contiguous(ready)[:_RUNS]:
                    requests.append(_request(dataset, job.name, first, last, ready, now))
                if ready:
                    lines.append(f"{dataset} of {named(ready)}")
        if requests:
            context.log.info(f"Requested checks: {'; '.join(lines)}.")
            return dg.SensorResult(run_requests=requests)
        return dg.SensorResult(skip_reason="Every loaded session has been checked.")

    return sensor


def _request(
    dataset: Dataset,
    job: str,
    first: date,
    last: date,
    ready: Mapping[date, int],
    now: datetime,
) -> dg.RunRequest:
    newest = max(id for session, id in ready.items() if first <= session <= last)
    return dg.RunRequest(
        # The same request is made again within the hour only where something was loaded meanwhile.
        run_key=f"{dataset} {first} {last} {newest} {now:%Y-%m-%d %H}",
        job_name=job,
        tags={
            ASSET_PARTITION_RANGE_START_TAG: str(first),
            ASSET_PARTITION_RANGE_END_TAG: str(last),
        },
    )


def _runs_that_are_over(instance: dg.DagsterInstance, run_ids: set[str]) -> set[str]:
    return {
        run_id
        for run_id in run_ids
        if (run := instance.get_run_by_id(run_id)) is None or run.is_finished
    }
