"""The check fresh at given instants, by the real ledgers: evaluated by the sensor and in runs."""

from datetime import datetime

import dagster as dg
import pytest

from resources.calendar import SEOUL
from resources.settings import market_settings
from resources.tables import Dataset
from stock_assets import backfill, freshness
from stock_assets.definitions import build_defs
from tests.pipeline.market import SETTINGS, Market

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


@pytest.fixture
def at(monkeypatch):
    def at(moment: str) -> None:
        now = datetime.fromisoformat(moment).replace(tzinfo=SEOUL)
        monkeypatch.setattr(freshness, "seoul_now", lambda: now)
        monkeypatch.setattr(backfill, "seoul_now", lambda: now)

    return at


class Tick:
    """Ticks of the sensor, with Dagster's part in it."""

    def __init__(self, instance, databases):
        self.instance = instance
        self.databases = databases
        self.settings = SETTINGS
        self.text = ""

    def __call__(self) -> dict[str, bool]:
        """What was reported, by asset."""
        located = build_defs(self.databases, self.settings)
        with dg.build_sensor_context(
            self.instance, definitions=located, resources=self.databases
        ) as context:
            result = located.resolve_sensor_def("freshness").evaluate_tick(context)
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        self.text = result.skip_message
        return {event.asset_key.to_user_string(): event.passed for event in result.asset_events}

    def says(self, asset: str = "daily_bars") -> dg.AssetCheckEvaluation:
        key = dg.AssetCheckKey(dg.AssetKey(asset), "fresh")
        return self.instance.get_latest_asset_check_evaluation_record(key).evaluation


@pytest.fixture
def tick(instance, timescaledb, application_database):
    return Tick(
        instance,
        {"timescaledb": timescaledb, "application_database": application_database},
    )


@pytest.fixture
def loaded(query):
    """A session of daily bars as the ledger has it after a load."""

    def loaded(session: str) -> None:
        query(
            "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, "
            "outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at) "
            "VALUES ('r', 'daily_bars', %s, 's', false, false, 'committed', 1, 0, 0, now(), now())",
            [session],
        )

    return loaded


def _fresh(result):
    """The run's evaluations of freshness, beside those of the rules."""
    return [one for one in result.get_asset_check_evaluations() if one.check_name == "fresh"]


@pytest.mark.parametrize(
    ("moment", "fresh"),
    [
        ("2025-06-13 08:00", True),  # before it opens
        ("2025-06-13 17:39", True),  # before the deadline
        ("2025-06-13 17:40", False),
        ("2025-06-14 12:00", False),  # on Saturday it is still missing
    ],
)
def test_a_session_is_missed_from_its_deadline_on(loaded, at, tick, moment, fresh):
    loaded("2025-06-12")
    at(moment)
    tick()
    assert tick.says().passed == fresh
    due = "2025-06-12" if fresh else "2025-06-13"
    assert tick.says().metadata["due"].value == due


@pytest.mark.parametrize(
    ("last", "moment"),
    [
        ("2025-06-13", "2025-06-15 23:00"),  # a weekend
        ("2025-06-13", "2025-06-16 17:39"),
        ("2025-10-02", "2025-10-09 23:00"),  # Chuseok
        ("2025-11-12", "2025-11-13 18:39"),  # exam day, on which everything is an hour later
    ],
)
def test_closed_days_and_late_closes_are_no_alarm(loaded, at, tick, last, moment):
    at(moment)
    loaded(last)
    tick()
    assert tick.says().passed


def test_an_old_backfill_makes_nothing_fresh(launch, at, tick):
    at("2025-06-13 18:00")
    assert launch(Market(), "daily_bars", "2025-01-02", "2025-01-08").success
    tick()
    assert not tick.says().passed
    assert tick.says().severity is ERROR
    assert tick.says().description == (
        "2025-06-13 was due at 17:40 on 2025-06-13; the newest session is 2025-01-08. "
        "Nobody tried to load daily_bars of it."
    )
    assert launch(Market(), "daily_bars", "2025-06-13").success
    tick()
    assert tick.says().passed


def test_a_provisional_leftover_is_not_fresh(launch, at, tick):
    at("2025-06-13 11:00")
    assert launch(Market(), "minute_bars", "2025-06-13").success
    at("2025-06-13 17:40")
    tick()
    assert not tick.says("minute_bars").passed
    assert "is provisional, from before it was final" in tick.says("minute_bars").description
    assert launch(Market(), "minute_bars", "2025-06-13").success
    tick()
    assert tick.says("minute_bars").passed


def test_a_load_of_some_symbols_is_not_the_session(launch, at, tick):
    at("2025-06-13 17:40")
    assert launch(Market(), "daily_bars", "2025-06-13", symbols=["005930"]).success
    tick()
    assert not tick.says().passed
    assert "was limited to 1 symbols" in tick.says().description
    # And one after the whole session takes nothing from it.
    assert launch(Market(), "daily_bars", "2025-06-13").success
    assert launch(Market(), "daily_bars", "2025-06-13", symbols=["005930"]).success
    tick()
    assert tick.says().passed


def test_why_it_is_missing_is_said(launch, at, tick):
    at("2025-06-13 17:40")
    assert not launch(Market(failing=["2025-06-13"]), "daily_bars", "2025-06-13").success
    tick()
    said = "The newest load of daily_bars of it was failed: no dump of 2025-06-13"
    assert tick.says().description.endswith(said)


def test_candles_are_as_fresh_as_what_they_cover(launch, at, tick):
    at("2025-06-13 11:00")
    candles = "candles_5m,daily_candles,volume_profile"
    assert launch(Market(), f"minute_bars,{candles}", "2025-06-13").success
    at("2025-06-13 17:55")
    tick()
    assert not tick.says("daily_candles").passed
    assert launch(Market(), "minute_bars", "2025-06-13").success
    tick()
    assert tick.says("minute_bars").passed
    assert not tick.says("daily_candles").passed
    assert "Its minute_bars are there" in tick.says("daily_candles").description
    assert launch(Market(), candles, "2025-06-13").success
    tick()
    for name in candles.split(","):
        assert tick.says(name).passed


def test_symbols_are_looked_for_in_their_own_ledger(launch, at, tick):
    at("2025-06-13 17:40")
    assert launch(Market(), "symbols", "2025-06-13").success
    tick()
    assert tick.says("symbols").passed
    assert not tick.says("daily_bars").passed


def test_only_another_answer_is_reported(launch, at, tick):
    at("2025-06-13 18:00")
    assert tick()["daily_bars"] is False
    assert tick() == {}
    at("2025-06-13 19:00")
    assert tick() == {}
    assert "daily_bars is stale: 2025-06-13 was due" in tick.text
    assert launch(Market(), "daily_bars", "2025-06-13").success
    # The run has evaluated it already.
    assert tick.says().passed
    assert tick() == {}


def test_a_run_evaluates_it_and_an_old_session_does_not_make_it_green(launch, at, tick, instance):
    at("2025-06-13 17:40")
    result = launch(Market(), "daily_bars", "2025-01-02", "2025-01-03")
    assert result.success  # what was loaded is loaded, stale or not
    (evaluation,) = _fresh(result)
    assert (evaluation.check_name, evaluation.passed) == ("fresh", False)


def test_what_nobody_collects_is_not_judged(at, tick, switch):
    at("2025-06-13 18:00")
    tick.settings = market_settings({"MARKET_SOURCE": "files"})
    assert tick() == {}
    assert "daily_bars is not judged: the schedule daily_bars_collection is off." in tick.text
    # Who switches its schedule on in the UI wants to know.
    switch("daily_bars_collection", on=True)
    assert tick() == {"daily_bars": False}
    switch("daily_bars_collection", on=False)
    assert tick() == {"daily_bars": False}
    assert tick.says().severity is WARN
    assert tick() == {}


def test_a_simulated_market_whose_schedule_is_off_is_not_judged(at, tick, switch):
    at("2025-06-13 18:00")
    switch("minute_bars_collection", on=False)
    assert {*tick()} == {dataset.value for dataset in Dataset} - {"minute_bars"}


def test_a_run_leaves_it_without_evaluation_where_nobody_collects(launch, at, switch):
    at("2025-06-13 18:00")
    switch("daily_bars_collection", on=False)
    result = launch(Market(), "daily_bars", "2025-06-13")
    assert result.success
    assert _fresh(result) == []


def test_a_database_that_is_away_is_said_and_changes_nothing(at, tick, timescaledb):
    at("2025-06-13 18:00")
    tick()
    fields = {name: getattr(timescaledb, name) for name in ("host", "port", "user", "dbname")}
    tick.databases["timescaledb"] = type(timescaledb)(**fields, password="wrong")
    assert tick() == {}
    assert "daily_bars is not known: cannot reach TimescaleDB" in tick.text
    assert "wrong" not in tick.text
