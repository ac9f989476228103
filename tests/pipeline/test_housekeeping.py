"""What Dagster forgets of runs that really took place, and what it still knows afterwards."""

import dagster as dg
import pytest
from sqlalchemy import text

from stock_assets.gaps import GAPS
from stock_assets.housekeeping import JOB
from tests.pipeline.market import Market

ASSET, REPORTED = dg.AssetKey("daily_bars"), dg.AssetKey("reported")
TWICE, YOUNG, FAILED = "2025-01-02", "2025-01-03", "2025-01-06"
SESSIONS = [TWICE, YOUNG, FAILED, "2025-01-07"]
NOTHING = {"runs_deleted": 0, "events_deleted": 0, "evaluations_deleted": 0}


@pytest.fixture
def storage(instance):
    """Run SQL on Dagster's storage."""

    def storage(sql: str, **parameters: object) -> list[tuple[object, ...]]:
        with instance.event_log_storage.index_connection() as connection:
            result = connection.execute(text(sql), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return storage


@pytest.fixture
def age(storage):
    """Make everything that is there older."""

    def age(days: int) -> None:
        storage(
            """UPDATE event_logs SET timestamp = timestamp - make_interval(days => :days);
                UPDATE asset_check_executions SET evaluation_event_timestamp =
                    evaluation_event_timestamp - make_interval(days => :days);
                UPDATE runs SET end_time = end_time - :days * 86400,
                    update_timestamp = update_timestamp - make_interval(days => :days)""",
            days=days,
        )

    return age


@pytest.fixture
def prune(definitions, instance):
    """Run the job; the metadata of its output."""

    def prune(**config: object) -> dict[str, object]:
        result = (
            definitions(Market())
            .resolve_job_def(JOB)
            .execute_in_process(
                instance=instance, run_config={"ops": {"old_runs": {"config": config}}}
            )
        )
        (output,) = (event for event in result.all_node_events if event.is_successful_output)
        # What the next run would count is of this one.
        return {name: value.value for name, value in output.step_output_data.metadata.items()}

    return prune


@pytest.fixture
def known(instance, definitions, storage):
    """What Dagster's pages say of assets, partitions and checks."""

    def known() -> dict[str, object]:
        graph = definitions(Market()).resolve_asset_graph()
        partitions = graph.get(ASSET).partitions_def
        checks = [key for key in graph.asset_check_keys if key.asset_key == ASSET]
        found: dict[str, object] = {}
        found["cached"] = instance.get_status_by_partition(ASSET, SESSIONS, partitions)
        instance.wipe_asset_cached_status([ASSET])
        # Cached again, until the next time.
        found["anew"] = instance.get_status_by_partition(ASSET, SESSIONS, partitions)
        kinds = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)
        for asset in (ASSET, REPORTED):
            for kind in kinds:
                newest = instance.event_log_storage.get_latest_storage_id_by_partition(asset, kind)
                found[f"{asset} {kind}"] = (
                    newest,
                    storage(
                        "SELECT id, event FROM event_logs WHERE id = ANY (:ids) ORDER BY id",
                        ids=[*newest.values()],
                    ),
                )
            found[f"{asset} newest"] = instance.get_latest_materialization_event(asset)
            found[f"{asset} tags"] = instance.event_log_storage.get_latest_tags_by_partition(
                asset, kinds[0], tag_keys=["dagster/data_version"]
            )
        info = instance.event_log_storage.get_asset_check_partition_info(checks)
        found["checks"] = sorted(info, key=str)
        found["evaluations"] = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            checks
        )
        return found

    return known


@pytest.fixture
def missing(instance, definitions):
    """What the asset gaps finds."""

    def missing() -> dict[str, object]:
        job = definitions(Market()).resolve_job_def("gaps_search")
        assert job.execute_in_process(instance=instance).success
        event = instance.get_latest_materialization_event(dg.AssetKey(GAPS))
        found = event.asset_materialization.metadata
        return {name: found[name].value for name in ("total", "gaps")}

    return missing


def counts(metadata: dict[str, object]) -> dict[str, object]:
    return {name: metadata[name] for name in NOTHING}


def report(instance: dg.DagsterInstance, *values: int) -> None:
    """Events that no run reported: of an asset without partitions, one after the other."""
    for value in values:
        said = {"value": value}
        instance.report_runless_asset_event(dg.AssetMaterialization(REPORTED, metadata=said))
        instance.report_runless_asset_event(dg.AssetObservation(REPORTED, metadata=said))
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=REPORTED, check_name="check", passed=value > 1, metadata=said
            )
        )


def test_only_what_newer_events_took_the_place_of_goes(
    instance, launch, storage, age, prune, known, heal, missing
):
    failing = Market([FAILED])
    first = launch(Market(), "daily_bars", TWICE, YOUNG)
    second = launch(Market(), "daily_bars", TWICE, YOUNG)
    failed_first = launch(failing, "daily_bars", FAILED)
    failed = launch(failing, "daily_bars", FAILED)
    assert not failed_first.success
    assert not failed.success
    gaps = missing()
    assert gaps["total"] > 0
    report(instance, 1, 2)
    going_on = instance.create_run_for_job(launch_job(), status=dg.DagsterRunStatus.STARTED)
    instance.report_engine_event("a line of its log", going_on)
    age(31)
    young = launch(Market(), "daily_bars", YOUNG)
    age(29)
    # ... of which what was there before is 60 days old now, and the newest 29.
    before = known()
    assert before["cached"] == before["anew"]
    assert [status.value for status in before["anew"].values() if status] == [
        *("MATERIALIZED", "MATERIALIZED", "FAILED")
    ]
    assert {info.partition_key for info in before["checks"]} >= {TWICE, YOUNG}
    of_young = "SELECT id FROM event_logs WHERE run_id = :run ORDER BY id"
    kept = {run: storage(of_young, run=run) for run in (young.run_id, going_on.run_id)}
    evaluations = "SELECT check_name, partition FROM asset_check_executions WHERE run_id = :run"
    assert len(storage(evaluations, run=failed_first.run_id)) > 1

    everything = "SELECT id FROM event_logs WHERE timestamp < now() - interval '1 day' ORDER BY id"
    was = storage(everything)
    said = prune(dry_run=True)
    assert storage(everything) == was
    assert known() == before

    pruned = prune()
    assert counts(pruned) == counts(said)
    assert pruned["runs_deleted"] == 2
    assert len(was) - len(storage(everything)) == pruned["events_deleted"]
    assert pruned["evaluations_deleted"] > 0
    assert known() == before
    assert {run: storage(of_young, run=run) for run in kept} == kept
    for gone in (first.run_id, failed_first.run_id):
        assert instance.get_run_by_id(gone) is None
        for table in ("event_logs", "asset_check_executions", "run_tags"):
            assert storage(f"SELECT FROM {table} WHERE run_id = :run", run=gone) == []

    left = "SELECT dagster_event_type, partition FROM event_logs WHERE run_id = :run ORDER BY id"
    of_second = storage(left, run=second.run_id)
    kinds = {kind for kind, _ in of_second}
    assert {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION", "PIPELINE_SUCCESS"} <= kinds
    # Announced, loaded twice since: not so the failed session.
    assert "ASSET_MATERIALIZATION_PLANNED" not in kinds
    assert not kinds & {"STEP_START", "STEP_SUCCESS", "ENGINE_EVENT", None}
    assert [p for kind, p in of_second if kind == "ASSET_MATERIALIZATION"] == [TWICE]
    of_failed = storage(left, run=failed.run_id)
    assert ("ASSET_MATERIALIZATION_PLANNED", FAILED) in of_failed
    assert {"STEP_FAILURE", "PIPELINE_FAILURE"} <= {kind for kind, _ in of_failed}
    stale = "SELECT FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)"
    assert storage(stale) == []
    reported = storage("SELECT dagster_event_type FROM event_logs WHERE run_id = '' ORDER BY id")
    assert [kind for (kind,) in reported] == [
        *("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_CHECK_EVALUATION")
    ]

    assert counts(prune()) == NOTHING
    assert heal() == ("Every commit has its record, and every record its commit.", [])
    assert missing() == gaps


def test_a_run_that_is_tried_again_and_a_backfill_that_goes_on_keep_their_runs(
    instance, storage, age, prune
):
    def ended(**tags: str) -> str:
        run = instance.create_run_for_job(
            launch_job(), status=dg.DagsterRunStatus.SUCCESS, tags=tags
        )
        return run.run_id

    plain, tried = ended(), ended()
    going_on, over = ended(**{"dagster/backfill": "on"}), ended(**{"dagster/backfill": "over"})
    for name, status in (("on", "REQUESTED"), ("over", "COMPLETED_SUCCESS")):
        storage(
            "INSERT INTO bulk_actions (key, status, timestamp) VALUES (:key, :status, now())",
            key=name,
            status=status,
        )
    again = instance.create_run_for_job(
        launch_job(),
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags={"dagster/parent_run_id": tried, "dagster/root_run_id": tried},
    )
    age(31)
    assert prune()["runs_deleted"] == 2
    known = {run.run_id for run in instance.get_runs()}
    assert not known & {plain, over}
    assert known >= {tried, going_on, again.run_id}
    storage("DELETE FROM bulk_actions")


def test_a_storage_that_is_not_known_is_left_alone(instance, launch, storage, age, prune):
    launch(Market(), "daily_bars", TWICE)
    launch(Market(), "daily_bars", TWICE)
    age(31)
    events = storage("SELECT count(*) FROM event_logs WHERE timestamp < now() - interval '1 day'")
    storage("ALTER TABLE asset_event_tags RENAME event_id TO event")
    try:
        with pytest.raises(dg.Failure) as failure:
            prune()
    finally:
        storage("ALTER TABLE asset_event_tags RENAME event TO event_id")
    assert str(failure.value) == (
        "Dagster's storage has no asset_event_tags.event_id: run `dagster instance migrate`; if it "
        "stays so, this version of Dagster is not known here, and nothing is deleted"
    )
    assert events == storage(
        "SELECT count(*) FROM event_logs WHERE timestamp < now() - interval '1 day'"
    )


def launch_job() -> dg.JobDefinition:
    @dg.job
    def nothing() -> None:
        pass

    return nothing
