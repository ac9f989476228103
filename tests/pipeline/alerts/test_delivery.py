"""A webhook that fails or is not there, events that come late, and secrets."""

import dagster as dg
import pytest
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from resources.sources import SourceError
from tests.pipeline.alerts.sensor import FAILING, OK, Sensor
from tests.pipeline.market import Market
from tests.receiver import PATH


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
    table = SqlEventLogStorageTable
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
