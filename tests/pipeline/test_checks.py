"""Checks in real Dagster runs: by default with a load, alone, over ranges, and healed."""

import dagster as dg
import pandas as pd
import pytest

from resources.checks.rules import RULES
from resources.tables import Dataset
from tests.pipeline.market import Market

FIRST, SECOND, THIRD, FOURTH = "2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"


def asked(request: dg.RunRequest) -> tuple[str | None, str, str]:
    ends = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return (request.job_name, *ends)


def run(instance, request: dg.RunRequest, definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def(request.job_name)
    assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success


class Requests:
    """What the sensor over unchecked sessions requests at a tick."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.definitions, self._instance = definitions, instance

    def __call__(self) -> list[dg.RunRequest]:
        names = ("timescaledb", "application_database")
        with dg.build_sensor_context(
            instance=self._instance,
            definitions=self.definitions,
            resources={name: self.definitions.resources[name] for name in names},
        ) as context:
            sensor = self.definitions.resolve_sensor_def("unchecked_sessions")
            return list(sensor.evaluate_tick(context).run_requests or [])


@pytest.fixture
def requests(definitions, instance) -> Requests:
    return Requests(definitions(Market()), instance)


@pytest.fixture
def evaluations(instance):
    """Evaluations of a check, oldest first, as (partition, passed)."""

    def evaluations(asset: str, rule: str) -> list[tuple[str | None, bool]]:
        history = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(asset), rule), limit=100
        )
        return [
            (
                one.event.dagster_event.event_specific_data.partition,
                one.event.dagster_event.event_specific_data.passed,
            )
            for one in reversed(history)
            if one.event and one.event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]

    return evaluations


def test_a_range_leaves_one_evaluation_of_every_rule_per_session(launch, evaluations, query):
    result = launch(Market(), "daily_bars", FIRST, THIRD)
    assert result.success
    for rule in RULES[Dataset.DAILY_BARS]:
        assert evaluations("daily_bars", rule.name) == [
            (day, True) for day in (FIRST, SECOND, THIRD)
        ]
    assert query("SELECT count(*), count(DISTINCT session) FROM check_results") == [(33, 3)]


def test_checks_run_alone(launch, evaluations, definitions, instance):
    """By partitions, as `record_healing` and its like ask, and by sessions in the launchpad."""
    launch(Market(), "daily_bars", SECOND, FOURTH)
    job = definitions(Market()).resolve_job_def("daily_bars_check")
    tags = {
        "dagster/asset_partition_range_start": SECOND,
        "dagster/asset_partition_range_end": THIRD,
    }
    named = {"ops": {"daily_bars_checks": {"config": {"first": THIRD, "last": FOURTH}}}}
    assert job.execute_in_process(instance=instance, tags=tags).success
    assert job.execute_in_process(instance=instance, run_config=named).success
    assert [day for day, _ in evaluations("daily_bars", "vwap")] == [
        *(SECOND, THIRD, FOURTH),
        *(SECOND, THIRD),
        *(THIRD, FOURTH),
    ]
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "no session was named" in failure.step_failure_data.user_failure_data.description


def test_what_was_not_checked_is_requested(launch, requests, evaluations, query, instance):
    """After a run that failed half-way; and again when what was lacking has come."""
    result = launch(Market(failing=[THIRD]), "daily_bars", SECOND, FOURTH)
    assert not result.success
    assert evaluations("daily_bars", "vwap") == []
    assert [asked(one) for one in requests()] == [
        ("daily_bars_check", SECOND, SECOND),
        ("daily_bars_check", FOURTH, FOURTH),
    ]
    for one in requests():
        run(instance, one, requests.definitions)
    assert evaluations("daily_bars", "vwap") == [(SECOND, True), (FOURTH, True)]
    assert requests() == []
    launch(Market(), "symbols", SECOND, FOURTH)
    again = requests()
    assert [asked(one) for one in again] == [
        ("daily_bars_check", SECOND, SECOND),
        ("daily_bars_check", FOURTH, FOURTH),
    ]
    for one in again:
        run(instance, one, requests.definitions)
    assert requests() == []


class Crossed(Market):
    """Minute bars that only the checks find wrong: one is after hours."""

    def __init__(self, *late: str) -> None:
        super().__init__()
        self.late = late

    def minute_bars(self, session, symbols):
        frame = super().minute_bars(session, symbols)
        if str(session) in self.late:
            frame.loc[0, "time"] += pd.Timedelta(hours=8)
        return frame


CANDLES = "candles_5m,daily_candles,volume_profile"


def test_a_session_that_fails_a_check_is_left_out_of_candles_and_its_neighbours_are_not(
    launch, recorded, instance, sensor
):
    """In the same run, in the next one, and until it is loaded again."""
    result = launch(Crossed(SECOND), f"minute_bars,{CANDLES}", FIRST, THIRD)
    assert result.success
    for name in CANDLES.split(","):
        assert [day for day, _ in recorded(name)] == [FIRST, THIRD]
        (told,) = instance.fetch_observations(dg.AssetKey(name), limit=9).records
        assert told.partition_key == SECOND
        assert told.asset_observation.description == (
            "Nothing was refreshed: the session's minute bars fail session_hours."
        )
    assert sensor.tick() == []
    assert sensor.text == (
        f"Blocked, for their minute bars fail session_hours (load them again): {SECOND}."
    )
    launch(Market(), "minute_bars", SECOND)
    (request,) = sensor.tick()
    assert sensor.run(request).success
    for name in CANDLES.split(","):
        assert {day for day, _ in recorded(name)} == {FIRST, SECOND, THIRD}
    assert sensor.tick() == []


def test_minute_bars_that_nobody_checked_are_checked_before_candles(
    launch, recorded, evaluations, query, instance
):
    launch(Crossed(SECOND), "minute_bars", FIRST, SECOND)
    query("DELETE FROM check_results")
    assert launch(Market(), CANDLES, FIRST, SECOND).success
    assert recorded("candles_5m") == [(FIRST, 3)]
    assert query(
        "SELECT session::text, rule FROM check_results WHERE NOT passed AND severity = 'error'"
    ) == [(SECOND, "session_hours")]
    assert evaluations("minute_bars", "session_hours") == [(FIRST, True), (SECOND, False)] * 2
