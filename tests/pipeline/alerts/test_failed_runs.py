"""Failed runs, as the webhook is told of them tick after tick."""

from datetime import date

import dagster as dg
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
from dagster._serdes import serialize_value

from resources.calendar import krx_calendar
from tests.pipeline.alerts.sensor import FAILING, OK
from tests.pipeline.market import Market


def test_a_failed_run_is_told_once(launch, sensor, receiver):
    result = launch(Market(failing=[FAILING]), "daily_bars", OK, FAILING)
    sensor.tick()
    assert receiver.texts == [
        f"*Run failed* daily_bars of {OK} to {FAILING}: 1 of 2 sessions of daily_bars were not "
        f"loaded: {FAILING}: no dump of {FAILING} "
        f"<http://ui:3000/runs/{result.run_id}|run {result.run_id.split('-')[0]}>"
    ]
    sensor.tick()
    launch(Market(failing=[FAILING]), "daily_bars", OK, FAILING)
    sensor.tick()
    assert len(receiver.posts) == 1


def test_it_is_told_again_after_it_succeeded_and_failed_again(
    launch, sensor, receiver, clock, switch
):
    switch("daily_bars_collection", on=False)  # else it is stale as well
    launch(Market(failing=[FAILING]), "daily_bars", FAILING)
    sensor.tick()
    launch(Market(), "daily_bars", FAILING)
    sensor.tick()
    assert receiver.texts[1:] == [f"*Resolved: run failed* daily_bars of {FAILING}"]
    launch(Market(failing=[FAILING]), "daily_bars", FAILING)
    clock.pass_(minutes=10)
    sensor.tick()
    assert [text.split("*")[1] for text in receiver.texts] == [
        "Run failed",
        "Resolved: run failed",
        "Run failed",
    ]


def test_many_failed_sessions_of_a_run_are_one_message(launch, sensor, receiver):
    days = [str(day) for day in _sessions("2025-01-02", "2025-01-20")]
    assert len(days) >= 10
    launch(Market(failing=days), "daily_bars", days[0], days[-1])
    sensor.tick()
    sensor.tick()
    (text,) = receiver.texts
    assert f"{len(days)} of {len(days)} sessions" in text
    assert len(text) < 1_000


def _sessions(first: str, last: str):
    bounds = date.fromisoformat(first), date.fromisoformat(last)
    return [day for day in krx_calendar().sessions if bounds[0] <= day <= bounds[1]]


def _failed_run(instance, **fields) -> dg.DagsterRun:
    """A run whose worker died, as the daemon reports it."""
    tags = {"dagster/partition": FAILING, **fields.pop("tags", {})}
    run = dg.DagsterRun(
        job_name="daily_bars_collection",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset([dg.AssetKey("daily_bars")]),
        tags=tags,
        **fields,
    )
    instance.add_run(run)
    instance.report_run_failed(run, "The run's worker is gone.")
    return instance.get_run_by_id(run.run_id)


def test_of_a_run_that_is_retried_only_the_last_failure_is_told(instance, sensor, receiver):
    first = _failed_run(instance)
    assert first.tags["dagster/will_retry"] == "true"
    sensor.tick()
    assert receiver.posts == []
    retry = {"dagster/retry_number": "1", "dagster/max_retries": "0"}
    last = _failed_run(instance, root_run_id=first.run_id, parent_run_id=first.run_id, tags=retry)
    sensor.tick()
    (text,) = receiver.texts
    assert last.run_id in text
    assert first.run_id not in text
    assert "The run's worker is gone." in text


def test_a_retry_that_succeeds_is_not_worth_a_word(instance, sensor, receiver, launch):
    first = _failed_run(instance)
    sensor.tick()
    retry = dg.DagsterRun(
        job_name=first.job_name,
        status=dg.DagsterRunStatus.STARTED,
        root_run_id=first.run_id,
        parent_run_id=first.run_id,
        tags={"dagster/retry_number": "1", "dagster/partition": FAILING},
    )
    instance.add_run(retry)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, retry.job_name)
    instance.report_dagster_event(event, retry.run_id)
    sensor.tick()
    assert receiver.posts == []
    assert sensor.text == "0 problems, 0 of them not told yet."


def test_a_run_of_which_is_not_known_yet_whether_it_is_retried_waits(
    instance, sensor, receiver, clock
):
    run = _failed_run(instance)
    _without_tag(instance, run)
    sensor.tick()
    assert receiver.posts == []
    clock.pass_(minutes=2)
    sensor.tick()
    assert len(receiver.posts) == 1


def _without_tag(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As the run is between its last event and Dagster's word on it."""
    with instance.run_storage.connect() as connection:
        connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run.run_id))
    tags = {name: value for name, value in run.tags.items() if name != "dagster/will_retry"}
    with instance.run_storage.connect() as connection:
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == run.run_id)
            .values(run_body=serialize_value(run._replace(tags=tags)))
        )
