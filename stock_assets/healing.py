"""Healing: Dagster's record is made to say what the databases hold.

A process may die between a commit and its record, a database may be restored to an earlier moment,
and a run may lose its worker. The databases are right: they hold the rows and the ledger.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from resources.calendar import krx_calendar
from resources.connections import Connectable, Databases
from resources.databases import ApplicationDatabase, TimescaleDB
from resources.ledger import Commit, newest_commits
from resources.quarantine import quarantined_by_reason
from resources.tables import Dataset
from stock_assets.partitions import contiguous, named
from stock_assets.record import Record, materialization, newest_records
from stock_assets.workers import worker_of

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

_EXECUTING = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def healing_sensor(
    collections: Mapping[Dataset, "UnresolvedAssetJobDefinition"],
) -> dg.SensorDefinition:
    """The sensor that heals; ``collections`` are the jobs that load one dataset each."""

    @dg.sensor(
        name="record_healing",
        jobs=list(collections.values()),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Ends runs whose worker is gone, records commits that have no record, and has records "
            "that no ledger confirms fail."
        ),
    )
    def heal(
        context: dg.SensorEvaluationContext,
        timescaledb: TimescaleDB,
        application_database: ApplicationDatabase,
    ) -> dg.SensorResult:
        healed = [
            f"ended run {run}, whose worker is gone" for run in end_dead_runs(context.instance)
        ]
        events: list[dg.AssetMaterialization] = []
        requests: list[dg.RunRequest] = []
        with Databases.held(timescaledb, application_database) as databases:
            for dataset, job in collections.items():
                database = databases.of(dataset)
                asset_key = dg.AssetKey(dataset.value)
                records = newest_records(context.instance, asset_key)
                commits = newest_commits(database, dataset)
                late = list(_unrecorded(context.instance, asset_key, commits, records))
                if late:
                    events += [_late_record(database, dataset, commit) for commit in late]
                    sessions = named(commit.session for commit in late)
                    healed.append(f"recorded {dataset} of {sessions}")
                false = _without_commit(records, commits)
                if false:
                    shown = _shown_as_failed(context.instance, asset_key)
                    requests += [
                        _confirmation(dataset, job.name, first, last, records[str(last)])
                        for first, last in contiguous(day for day in false if str(day) not in shown)
                    ]
                    healed.append(f"no ledger has {dataset} of {named(false)}, which are recorded")
        for line in healed:
            context.log.info(line)
        if requests:
            return dg.SensorResult(run_requests=requests, asset_events=events)
        nothing = "Every commit has its record, and every record its commit."
        return dg.SensorResult(skip_reason="; ".join(healed) or nothing, asset_events=events)

    return heal


def end_dead_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Mark runs whose worker is gone as failed, or as canceled where that was asked; which frees
    their slots, and lets Dagster retry them. Yields their ids."""
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(_EXECUTING))):
        worker = worker_of(run)
        if worker is None or not worker.is_gone():
            continue
        # Its last act may have been to say that it is over.
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.status not in _EXECUTING:
            continue
        message = f"The run's worker, process {worker.pid} on {worker.host}, is gone."
        if now.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, message)
        else:
            instance.report_run_failed(now, message)
        yield run.run_id


def _unrecorded(
    instance: dg.DagsterInstance,
    asset_key: dg.AssetKey,
    commits: Mapping[date, Commit],
    records: Mapping[str, Record],
) -> Iterator[Commit]:
    """Newest commits that are not what the newest record is about, and whose run is over."""
    suspects = [commit for commit in commits.values() if not _is_about(records, commit)]
    over = {
        run_id
        for run_id in {commit.run_id for commit in suspects}
        if (run := instance.get_run_by_id(run_id)) is None or run.is_finished
    }
    if not over:
        return
    # What these runs recorded since we looked is there now.
    records = newest_records(instance, asset_key)
    for commit in suspects:
        if commit.run_id in over and not _is_about(records, commit):
            yield commit


def _is_about(records: Mapping[str, Record], commit: Commit) -> bool:
    record = records.get(str(commit.session))
    return record is not None and record.commit == str(commit.id)


def _late_record(
    database: Connectable, dataset: Dataset, commit: Commit
) -> dg.AssetMaterialization:
    committed_by = {"committed_by": dg.MetadataValue.dagster_run(commit.run_id)}
    if commit.quarantined:
        refused = quarantined_by_reason(database, dataset, commit.session)
        commit = replace(commit, refused=refused)
    return materialization(dg.AssetKey(dataset.value), commit, committed_by)


def _without_commit(records: Mapping[str, Record], commits: Mapping[date, Commit]) -> list[date]:
    """Recorded sessions that the ledger does not have."""
    recorded = {date.fromisoformat(partition) for partition in records}
    return sorted(day for day in recorded - commits.keys() if krx_calendar().is_session(day))


def _shown_as_failed(instance: dg.DagsterInstance, asset_key: dg.AssetKey) -> set[str]:
    """Partitions whose newest attempt failed. To ask again would show nothing new; and the run that
    a key stands for may be gone (``housekeeping``)."""
    storage = instance.event_log_storage
    attempts = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        asset_key
    )
    if not attempts:
        return set()
    runs = instance.get_runs(
        filters=dg.RunsFilter(
            run_ids=list({run_id for run_id, _ in attempts.values()}),
            statuses=[dg.DagsterRunStatus.FAILURE],
        )
    )
    failed = {run.run_id for run in runs}
    return {partition for partition, (run_id, _) in attempts.items() if run_id in failed}


def _confirmation(
    dataset: Dataset, job: str, first: date, last: date, record: Record
) -> dg.RunRequest:
    """A run that fails, and so shows the sessions as failed: Dagster takes no record back."""
    return dg.RunRequest(
        run_key=f"{dataset} {first} {last} {record.event}",
        job_name=job,
        run_config={"ops": {dataset.value: {"config": {"confirm_only": True}}}},
        tags={
            ASSET_PARTITION_RANGE_START_TAG: str(first),
            ASSET_PARTITION_RANGE_END_TAG: str(last),
        },
    )
