"""Failed checks and stale assets, as the webhook is told of them tick after tick."""

from datetime import datetime

import dagster as dg

from resources.calendar import SEOUL
from resources.tables import Dataset
from tests.pipeline.alerts.sensor import FAILING, OK, Sensor
from tests.pipeline.market import Market


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


def test_stale_assets_are_one_message(fresh, sensor, receiver, launch, clock):
    fresh()
    sensor.tick()
    (text,) = receiver.texts
    lines = text.splitlines()
    assert lines[1].startswith(
        "*Stale* daily_bars: 2025-06-13 was due at 17:40 on 2025-06-13; no session is there."
    )
    assert {line.split()[1].rstrip(":") for line in lines} == {
        *(dataset.value for dataset in Dataset),
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
