"""Which sessions can be trusted: what reports and their sensor make of loads, checks, candles."""

import base64
import io
import re

import dagster as dg
import pytest
from PIL import Image

from resources.aggregates import AGGREGATES
from resources.tables import SUPPLY_DEMAND
from stock_assets.session_report import NAME
from stock_assets.stale_reports import REPORTS
from tests.pipeline.market import Market

# Not the first session of the year, which opens at ten: before that there are no minute bars.
FIRST, SECOND, THIRD = "2025-01-03", "2025-01-06", "2025-01-07"
CANDLES = ",".join(aggregate.name for aggregate in AGGREGATES)
EVERYTHING = f"symbols,daily_bars,minute_bars,supply_demand,{CANDLES}"
RESOURCES = ("timescaledb", "timescaledb_maintainer", "application_database")


class Moving(Market):
    """After the first session one symbol rises, one falls, and one is halted."""

    def daily_bars(self, session, symbols):
        frame = super().daily_bars(session, symbols)
        if str(session) > FIRST and symbols is None:
            frame["close"] = [12.0, 9.0, 11.0]
            frame.loc[2, ["open", "high", "low", "volume"]] = 0
        return frame

    def supply_demand(self, session, symbols):
        row = (session, ..., -5, 5, 0, 0, False)
        return self._rows(session, symbols, SUPPLY_DEMAND.column_names, *row)


class Sensor:
    """The sensor, tick after tick, and the runs it asks for."""

    def __init__(self, definitions, instance):
        self.definitions = definitions
        self.instance = instance
        self.cursor = None

    def tick(self):
        sensor = self.definitions.resolve_sensor_def("stale_reports")
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={name: self.definitions.resources[name] for name in RESOURCES},
        ) as context:
            result = sensor.evaluate_tick(context)
        self.cursor, self.text = result.cursor, result.skip_message
        return list(result.run_requests or [])

    def run(self, request):
        return self.definitions.resolve_job_def(REPORTS.job).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=dict(request.tags)
        )


@pytest.fixture
def sensor(definitions, instance):
    return Sensor(definitions(Moving()), instance)


@pytest.fixture
def reports(instance):
    """The reported sessions, and the metadata of the newest record of each."""

    def reports(fetch=instance.fetch_materializations) -> dict[str, dict[str, object]]:
        events = fetch(dg.AssetKey(NAME), limit=100).records
        return {
            event.partition_key: {
                name: value.value
                for name, value in (
                    event.asset_materialization or event.asset_observation
                ).metadata.items()
            }
            for event in reversed(events)
        }

    return reports


def asked(requests):
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in requests
    ]


def rows(table):
    names = [column.name for column in table.schema.columns]
    return [tuple(record.data[name] for name in names) for record in table.records]


def failure(result):
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data.description


def test_what_is_complete_is_reported_once_with_its_parts_and_a_picture(
    launch, sensor, reports, query
):
    launch(Moving(), EVERYTHING, FIRST, SECOND)
    (request,) = sensor.tick()
    assert asked([request]) == [(FIRST, SECOND)]
    assert sensor.run(request).success
    said = reports()
    assert list(said) == [FIRST, SECOND]
    assert "has no close of 2025-01-02" in said[FIRST]["picture"]
    assert rows(said[SECOND]["datasets"]) == [
        ("symbols", 3, "market", False, False, True, 0),
        ("daily_bars", 3, "market", False, False, True, 0),
        ("minute_bars", 3, "market", False, False, True, 0),
        ("supply_demand", 3, "market", False, False, True, 0),
    ]
    counts = {name: said[SECOND][name] for name in ("advancing", "declining", "halted")}
    assert counts == {"advancing": 1, "declining": 1, "halted": 1}
    (encoded,) = re.findall(r"data:image/png;base64,([^)]+)\)", said[SECOND]["picture"])
    assert len(encoded) < 40_000
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    assert picture.size == (720, 320)
    # Both directions are drawn, in their colours.
    colours = {colour for _, colour in picture.getcolors(10_000)}
    assert {any(near(colour, one) for one in colours) for colour in ("d23f3f", "2f62c0")} == {True}
    assert query("SELECT session::text, standing FROM session_reports ORDER BY 1") == [
        (FIRST, "trusted"),
        (SECOND, "trusted"),
    ]
    assert sensor.tick() == []
    assert sensor.text == "Every session that can be judged is reported (2 trusted)."


def near(colour, other):
    return all(abs(int(colour[n * 2 : n * 2 + 2], 16) - other[n]) < 12 for n in range(3))


def test_a_session_that_was_loaded_again_is_reported_again(launch, sensor):
    launch(Moving(), EVERYTHING, FIRST, SECOND)
    sensor.run(sensor.tick()[0])
    for asset in ("symbols", "daily_bars", "supply_demand"):
        launch(Moving(), asset, SECOND)
        (request,) = sensor.tick()
        assert asked([request]) == [(SECOND, SECOND)], asset
        sensor.run(request)
    launch(Moving(), "minute_bars", SECOND)
    # Its candles are not of these bars yet: there is nothing to judge.
    assert sensor.tick() == []
    assert sensor.text == "Every session that can be judged is reported (1 incomplete, 1 trusted)."
    launch(Moving(), CANDLES, SECOND)
    assert asked(sensor.tick()) == [(SECOND, SECOND)]


def test_a_wrong_session_fails_by_itself_and_says_why_and_what_to_run(
    launch, sensor, reports, query, instance, definitions
):
    launch(Moving(), EVERYTHING, FIRST, THIRD)
    query(
        "UPDATE check_results SET passed = false, found = 7, checked = 9 "
        "WHERE session = '2025-01-06' AND (asset, rule) IN (('daily_bars', 'row_count'), "
        "('daily_bars', 'vwap'))"
    )
    requests = sensor.tick()
    assert asked(requests) == [(FIRST, FIRST), (THIRD, THIRD), (SECOND, SECOND)]
    results = [sensor.run(request) for request in requests]
    assert [result.success for result in results] == [True, True, False]
    why = (
        "daily_bars fails row_count (7 of 9): see its checks, correct the source, then run "
        "dg launch --assets daily_bars --partition 2025-01-06"
    )
    assert failure(results[2]) == f"1 of 1 sessions cannot be trusted:\n{SECOND}: {why}"
    assert list(reports()) == [FIRST, THIRD]
    told = reports(instance.fetch_observations)[SECOND]
    assert told["why"] == why
    assert rows(told["failed_checks"]) == [
        ("daily_bars", "row_count", "error", 7, 9),
        ("daily_bars", "vwap", "warning", 7, 9),
        # The symbol that daily bars call halted has minutes.
        ("minute_bars", "minute_volume", "warning", 1, 3),
        ("minute_bars", "no_silent_minutes", "warning", 380, 383),
    ]
    assert query("SELECT why FROM session_reports WHERE standing = 'wrong'") == [(why,)]
    partitions = definitions(Moving()).get_assets_def(NAME).partitions_def
    status = instance.get_status_by_partition(dg.AssetKey(NAME), [FIRST, SECOND, THIRD], partitions)
    assert [str(state.value) for state in status.values()] == [
        "MATERIALIZED",
        "FAILED",
        "MATERIALIZED",
    ]
    assert sensor.tick() == []
    # Once it is right again, it is reported so.
    query("UPDATE check_results SET passed = true")
    (request,) = sensor.tick()
    assert sensor.run(request).success
    assert query("SELECT DISTINCT standing FROM session_reports") == [("trusted",)]


def test_in_a_range_one_wrong_session_does_not_stop_the_others(launch, reports, query):
    launch(Moving(), EVERYTHING, FIRST, SECOND)
    query(
        "UPDATE check_results SET passed = false "
        "WHERE session = '2025-01-03' AND (asset, rule) = ('symbols', 'row_count')"
    )
    result = launch(Moving(), NAME, FIRST, SECOND)
    assert not result.success
    assert f"\n{FIRST}: symbols fails row_count" in failure(result)
    assert list(reports()) == [SECOND]


@pytest.mark.parametrize(
    ("loaded", "lacks"),
    [
        ("", "nothing of it is loaded"),
        (
            f"daily_bars,minute_bars,supply_demand,{CANDLES}",
            "symbols is not loaded (dg launch --assets symbols --partition 2025-01-03)",
        ),
        (
            "symbols,daily_bars,minute_bars,supply_demand",
            "candles_5m, daily_candles, volume_profile are older than the minute bars (dg launch "
            f"--assets {CANDLES} --partition 2025-01-03, or the sensor stale_candles)",
        ),
    ],
)
def test_what_is_incomplete_is_left_out_and_says_what_is_missing(
    launch, sensor, reports, instance, loaded, lacks
):
    if loaded:
        launch(Moving(), loaded, FIRST)
    assert sensor.tick() == []
    assert launch(Moving(), NAME, FIRST).success
    assert reports() == {}
    (told,) = instance.fetch_observations(dg.AssetKey(NAME), limit=9).records
    assert told.asset_observation.description.removeprefix("incomplete: ") == lacks


def test_provisional_partial_or_unchecked_is_incomplete(launch, sensor, query, instance):
    launch(Moving(), EVERYTHING, FIRST)

    def told() -> str:
        assert sensor.tick() == []
        assert launch(Moving(), NAME, FIRST).success
        (event,) = instance.fetch_observations(dg.AssetKey(NAME), limit=1).records
        return event.asset_observation.description

    query("UPDATE ingest_ledger SET provisional = true WHERE asset = 'daily_bars'")
    assert "daily_bars is provisional (dg launch --assets daily_bars" in told()
    query(
        "UPDATE ingest_ledger SET provisional = false, symbols = '{005930}' "
        "WHERE asset = 'daily_bars'"
    )
    assert "daily_bars is loaded for named symbols only (dg launch" in told()
    query("UPDATE ingest_ledger SET symbols = null WHERE asset = 'daily_bars'")
    query("DELETE FROM check_results WHERE asset = 'daily_bars'")
    assert "daily_bars is not checked (job daily_bars_check" in told()
    assert query("SELECT standing FROM session_reports") == [("incomplete",)]
