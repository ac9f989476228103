"""A webhook's receiver, a clock and the sensor that tells the one by the other."""

from datetime import datetime, timedelta

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id
from tenacity import wait_none

from resources.calendar import SEOUL
from resources.webhook import AlertWebhook
from stock_assets import alerts, freshness
from stock_assets.definitions import build_defs
from tests.pipeline.alerts.sensor import FAILING, SETTINGS, Sensor
from tests.receiver import receiving


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
