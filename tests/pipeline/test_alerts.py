"""What the webhook is told of real runs, checks and ledgers, tick after tick."""

from datetime import datetime, timedelta

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from tenacity import wait_none

from resources.calendar import SEOUL
from resources.settings import market_settings
from resources.sources import SourceError
from resources.webhook import AlertWebhook
from stock_assets import alerts, freshness
from stock_assets.definitions import build_defs
from tests.pipeline.market import Market
from tests.receiver import PATH, receiving

OK, FAILING = "2025-01-02", "2025-01-03"
SETTINGS = market_settings({"DAGSTER_UI_URL": "http://ui:3000/"})


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setattr(AlertWebhook._post.retry, "wait", wait_none())
    with receiving() as receiver:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", receiver.url)
        yield receiver


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(SEOUL)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(alerts, "seoul_now", clock)
    return clock


class Sensor:
    """Ticks of the sensor alerts; the first one has begun when a test does."""

    def __init__(self, instance: dg.DagsterInstance, url: str) -> None:
        self.instance = instance
        self.resources = {"alert_webhook": AlertWebhook(url=url)}
        self.cursor: str | None = None
        self.text = ""

    def tick(self) -> None:
        located = build_defs(self.resources, SETTINGS)
        with dg.build_sensor_context(
            self.instance, cursor=self.cursor, definitions=located, resources=self.resources
        ) as context:
            result = located.resolve_sensor_def("alerts").evaluate_tick(context)
        self.cursor, self.text = result.cursor, result.skip_message


@pytest.fixture
def sensor(instance, receiver, clock):
    sensor = Sensor(instance, receiver.url)
    sensor.tick()
    return sensor


@pytest.fixture
def evaluated(instance):
    """Record an evaluation of a session, each in a run of its own that is no more there."""

    def evaluated(passed: bool, session: str = FAILING, run_id: str = "", **fields: object) -> None:
        fields = {"severity": dg.AssetCheckSeverity.ERROR, "description": "3 rows", **fields}
        evaluation = dg.AssetCheckEvaluation(
            dg.AssetKey("daily_bars"),
            fields.pop("name", "ohlc_order"),
            passed=passed,
            partition=session,
            **fields,
        )
        event = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            "daily_bars_collection",
            event_specific_data=evaluation,
        )
        instance.report_dagster_event(event, run_id or make_new_run_id())

    return evaluated


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
    from datetime import date

    from resources.calendar import krx_calendar

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
    from dagster._core.storage.runs.schema import RunTagsTable

    with instance.run_storage.connect() as connection:
        connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run.run_id))
    tags = {name: value for name, value in run.tags.items() if name != "dagster/will_retry"}
    from dagster._core.storage.runs.schema import RunsTable
    from dagster._serdes import serialize_value

    with instance.run_storage.connect() as connection:
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == run.run_id)
            .values(run_body=serialize_value(run._replace(tags=tags)))
        )


def test_a_failed_check_of_severity_error_is_told_once(evaluated, sensor, receiver):
    evaluated(False)
    sensor.tick()
    (text,) = receiver.texts
    said = f"*Check failed* daily_bars: ohlc_order of {FAILING}: 3 rows <http://ui:3000/runs/"
    assert text.startswith(said)
    sensor.tick()
    evaluated(False)
    sensor.tick()
    assert len(receiver.posts) == 1


def test_warnings_and_checks_that_pass_are_not_told(evaluated, sensor, receiver):
    evaluated(True)
    evaluated(False, severity=dg.AssetCheckSeverity.WARN)
    sensor.tick()
    assert receiver.posts == []


def test_a_check_is_told_again_after_it_passed_and_failed_again(evaluated, sensor, receiver, clock):
    evaluated(False)
    sensor.tick()
    evaluated(True, OK)  # another session
    sensor.tick()
    assert len(receiver.posts) == 1
    evaluated(True)
    sensor.tick()
    assert receiver.texts[1:] == [f"*Resolved: check failed* daily_bars: ohlc_order of {FAILING}"]
    evaluated(False)
    clock.pass_(minutes=10)
    sensor.tick()
    assert len(receiver.posts) == 3


def test_checks_of_a_run_under_way_are_told_together_when_it_is_over(
    evaluated, sensor, receiver, instance
):
    run = dg.DagsterRun(job_name="daily_bars_collection", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    for session in (OK, FAILING):
        evaluated(False, session, run.run_id)
        sensor.tick()
    assert receiver.posts == []
    instance.report_run_canceled(run)
    sensor.tick()
    (text,) = receiver.texts
    assert f"ohlc_order of {OK} to {FAILING}: 3 rows <http://ui:3000/runs/{run.run_id}|" in text


def test_a_blocking_check_of_a_real_run_is_told(sensor, receiver, instance):
    @dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="thing", blocking=True)])
    def thing():
        yield dg.Output(None)
        yield dg.AssetCheckResult(passed=False, description="a third is missing")

    result = dg.materialize([thing], instance=instance, raise_on_error=False)
    sensor.tick()
    assert (
        f"*Check failed* thing: whole: a third is missing <http://ui:3000/runs/{result.run_id}|"
        in ("\n".join(receiver.texts))
    )


@pytest.fixture
def fresh(instance, timescaledb, application_database, clock, monkeypatch):
    """A tick of the sensor freshness."""
    monkeypatch.setattr(freshness, "seoul_now", clock)
    clock.now = datetime(2025, 6, 13, 18, tzinfo=SEOUL)
    resources = {"timescaledb": timescaledb, "application_database": application_database}

    def fresh() -> None:
        located = build_defs(resources, SETTINGS)
        with dg.build_sensor_context(instance, definitions=located, resources=resources) as context:
            result = located.resolve_sensor_def("freshness").evaluate_tick(context)
        for event in result.asset_events:
            instance.report_runless_asset_event(event)

    return fresh


def test_stale_assets_are_one_message(fresh, sensor, receiver, launch, clock):
    fresh()
    sensor.tick()
    (text,) = receiver.texts
    lines = text.splitlines()
    assert lines[1].startswith(
        "*Stale* daily_bars: 2025-06-13 was due at 17:40 on 2025-06-13; no session is there."
    )
    assert {line.split()[1].rstrip(":") for line in lines} == {
        *("symbols", "daily_bars", "minute_bars", "supply_demand"),
        *("candles_5m", "daily_candles", "volume_profile"),
    }
    fresh()
    sensor.tick()
    assert len(receiver.posts) == 1
    launch(Market(), "daily_bars", "2025-06-13")
    fresh()
    sensor.tick()
    assert receiver.texts[1:] == ["*Resolved: stale* daily_bars"]
    clock.now = datetime(2025, 6, 16, 18, tzinfo=SEOUL)
    fresh()
    sensor.tick()
    # All of the others are stale since long: told again, too, after a day.
    assert "*Stale* daily_bars: 2025-06-16 was due" in receiver.texts[2]
    assert len(receiver.posts) == 3


def test_what_is_stale_when_alerts_are_switched_on_is_told(
    fresh, launch, instance, receiver, evaluated
):
    launch(Market(failing=[FAILING]), "daily_bars", FAILING)
    evaluated(False)
    fresh()
    sensor = Sensor(instance, receiver.url)
    sensor.tick()
    (text,) = receiver.texts
    assert text.startswith("*Stale* symbols")
    assert "Run failed" not in text


@pytest.mark.parametrize("answers", [[500, 500, 500], [404]])
def test_a_webhook_that_fails_loses_nothing(launch, sensor, receiver, answers):
    receiver.answers = list(answers)
    launch(Market(failing=[FAILING]), "daily_bars", FAILING)
    sensor.tick()
    assert f"ALERT_WEBHOOK_URL answered HTTP {answers[0]}" in sensor.text
    assert "1 messages wait for the next tick." in sensor.text
    receiver.posts.clear()
    sensor.tick()
    assert len(receiver.posts) == 1
    assert "1 problems, 0 of them not told yet." in sensor.text
    sensor.tick()
    assert len(receiver.posts) == 1


def test_without_a_webhook_nothing_is_told_nor_later_made_up_for(
    launch, instance, receiver, monkeypatch
):
    off = Sensor(instance, "")
    off.tick()
    assert off.text == "Off: ALERT_WEBHOOK_URL is not set."
    launch(Market(failing=[FAILING]), "daily_bars", FAILING)
    off.tick()
    on = Sensor(instance, receiver.url)
    on.cursor = off.cursor
    on.tick()
    assert receiver.posts == []


def test_an_event_that_becomes_visible_late_is_not_missed(
    evaluated, sensor, receiver, instance, clock
):
    evaluated(False, OK, name="first")
    evaluated(False, OK, name="second")
    first, _ = _newest_ids(instance, 2)
    _renumber(instance, first, -first)  # not visible yet
    sensor.tick()
    assert "second" in receiver.texts[0]
    _renumber(instance, -first, first)
    clock.pass_(minutes=10)
    sensor.tick()
    assert "first" in receiver.texts[1]
    assert len(receiver.posts) == 2


def _newest_ids(instance, count: int) -> list[int]:
    events = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        dagster_event_type={dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    )
    return sorted(events)[-count:]


def _renumber(instance, old: int, new: int) -> None:
    from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as table

    with instance.event_log_storage.index_connection() as connection:
        connection.execute(table.update().where(table.c.id == old).values(id=new))


def test_secrets_are_told_to_nobody(launch, sensor, receiver, instance, monkeypatch, caplog):
    monkeypatch.setenv("KRX_PW", "hunter22")

    class Leaky(Market):
        def daily_bars(self, session, symbols):
            url = f"postgresql://me:oops@db/x password=oops2 {receiver.url}"
            raise SourceError(f"login with hunter22 at {url}")

    run = launch(Leaky(), "daily_bars", FAILING)
    receiver.answers = [500] * 3
    sensor.tick()
    sensor.tick()
    (text,) = receiver.texts[3:]
    assert "login with *** at postgresql://***@db/x password=*** ***" in text
    for secret in ("hunter22", "oops", "SECRET", "x7Jq9secret"):
        assert not any(secret in post for post in receiver.texts)
        assert secret not in (sensor.cursor or "") + sensor.text
    assert PATH not in caplog.text
    assert run.run_id in text
