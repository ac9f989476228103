"""Candles follow minute bars: in the same run, and through the runs that the sensor requests."""

import dagster as dg

from resources.aggregates import AGGREGATES
from stock_assets import stale_candles
from stock_assets.definitions import build_defs
from tests.pipeline.market import SETTINGS, Market
from tests.pipeline.stale_candles import Sensor

NAMES = [aggregate.name for aggregate in AGGREGATES]
ALL = ",".join(NAMES)
FIRST, SECOND, THIRD, FOURTH = "2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"


class Again(Market):
    """The same bars with another volume."""

    def minute_bars(self, session, symbols):
        return super().minute_bars(session, symbols).assign(volume=7)


def asked(requests: list[dg.RunRequest]) -> list[tuple[str, str, list[str]]]:
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
            [key.to_user_string() for key in request.asset_selection or []],
        )
        for request in requests
    ]


def test_candles_follow_in_the_same_run_children_before_parents(launch, recorded, query, instance):
    result = launch(Market(), f"minute_bars,{ALL}", FIRST, THIRD)
    assert result.success
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps.index("minute_bars") < steps.index("candles_5m") < steps.index("daily_candles")
    for name in NAMES:
        # Each session once, with its own count.
        assert recorded(name) == [(day, 3) for day in (FIRST, SECOND, THIRD)]
        counts = query(
            f"SELECT (bucket AT TIME ZONE 'Asia/Seoul')::date::text, count(*) FROM {name} "  # noqa: S608
            "GROUP BY 1 ORDER BY 1"
        )
        assert counts == recorded(name)
    assert query("SELECT DISTINCT run_id FROM aggregate_refreshes") == [(result.run_id,)]


def test_the_ui_shows_edition_and_version_as_the_server_says(launch, instance, query, server_says):
    launch(Market(), f"minute_bars,{ALL}", FIRST)
    event = instance.get_latest_materialization_event(dg.AssetKey("candles_5m"))
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert metadata.pop("seconds") >= 0
    assert query("SELECT max(id) FROM ingest_ledger") == [(metadata.pop("ledger_id"),)]
    assert metadata == {
        "dagster/partition_row_count": 3,
        "server": server_says,
    }


def test_a_session_that_was_never_loaded_is_left_out_and_not_green(launch, recorded, instance):
    launch(Market(), "minute_bars", SECOND)
    result = launch(Market(), ALL, FIRST, THIRD)
    assert result.success
    for name in NAMES:
        assert recorded(name) == [(SECOND, 3)]
        told = instance.fetch_observations(dg.AssetKey(name), limit=9).records
        assert {record.partition_key for record in told} == {FIRST, THIRD}
    assert "has no committed minute bars" in told[0].asset_observation.description


def test_one_session_that_fails_does_not_keep_the_others_candles_away(
    launch, sensor, recorded, maintainer
):
    result = launch(Market(failing=[SECOND]), f"minute_bars,{ALL}", FIRST, FOURTH)
    assert not result.success
    for name in NAMES:
        assert recorded(name) == []
    requests = sensor.tick()
    assert asked(requests) == [(FIRST, FIRST, NAMES), (THIRD, FOURTH, NAMES)]
    assert all(sensor.run(request).success for request in requests)
    for name in NAMES:
        assert recorded(name) == [(day, 3) for day in (FIRST, THIRD, FOURTH)]
    assert sensor.tick() == []
    assert sensor.text == "Every session's candles are as new as its minute bars."


def test_candles_follow_a_backfill_of_minute_bars_alone(launch, sensor, recorded, query):
    """Ten sessions, across a weekend; and again when some of them are loaded again."""
    launch(Market(), "minute_bars", FIRST, "2025-01-15")
    (request,) = sensor.tick()
    assert asked([request]) == [(FIRST, "2025-01-15", NAMES)]
    assert sensor.run(request).success
    for name in NAMES:
        assert len(recorded(name)) == 10
    launch(Again(), "minute_bars", SECOND, THIRD)
    (request,) = sensor.tick()
    assert asked([request]) == [(SECOND, THIRD, NAMES)]
    assert sensor.run(request).success
    assert query("SELECT volume, count(*) FROM daily_candles GROUP BY 1 ORDER BY 1") == [
        (7, 6),
        (100, 24),
    ]


def test_a_session_that_cannot_be_refreshed_does_not_keep_its_neighbours_away(
    launch, sensor, recorded, query
):
    """Its run fails and is not requested again at once; what the others lack is."""
    launch(Market(), "minute_bars", FIRST, THIRD)
    query("DELETE FROM stock_prices WHERE time >= '2025-01-03' AND time < '2025-01-04'")
    (request,) = sensor.tick()
    failed = sensor.run(request)
    assert not failed.success
    messages = [
        event.step_failure_data.user_failure_data.description
        for event in failed.all_events
        if event.is_step_failure and event.step_failure_data.user_failure_data
    ]
    assert any(
        message.startswith(
            "1 of 3 sessions of candles_5m were not refreshed:\n2025-01-03: stock_prices has 0 of"
        )
        for message in messages
    )
    assert recorded("candles_5m") == [(FIRST, 3), (THIRD, 3)]
    assert recorded("daily_candles") == []
    requests = sensor.tick()
    assert asked(requests) == [
        (FIRST, FIRST, ["daily_candles"]),
        (THIRD, THIRD, ["daily_candles"]),
    ]
    assert all(sensor.run(request).success for request in requests)
    assert recorded("daily_candles") == [(FIRST, 3), (THIRD, 3)]
    assert sensor.tick() == []
    assert sensor.text.startswith("Tried in vain, again at ")
    assert sensor.text.endswith(f": {SECOND}.")


def test_what_a_run_under_way_refreshes_is_left_to_it(launch, sensor, instance, definitions):
    launch(Market(), "minute_bars", FIRST, SECOND)
    (request,) = sensor.tick()
    run = instance.create_run_for_job(
        definitions(Market()).resolve_job_def(stale_candles.JOB),
        asset_selection=frozenset(request.asset_selection),
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    assert sensor.tick() == []
    assert sensor.text == f"Left to run {run.run_id.split('-')[0]}: {FIRST} to {SECOND}."
    launch(Market(), "minute_bars", THIRD)
    assert asked(sensor.tick()) == [(THIRD, THIRD, NAMES)]
    instance.report_run_failed(run)
    assert sensor.tick() == []
    assert sensor.text.startswith("Tried in vain, again at ")


def test_without_minute_bars_there_is_nothing_to_do(sensor):
    assert sensor.tick() == []
    assert sensor.text == "Every session's candles are as new as its minute bars."


def test_a_stale_session_without_a_partition_is_ignored_and_named(sensor, query):
    query(
        "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, "
        "outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at) VALUES "
        "('r', 'minute_bars', '2018-01-17', 's', false, false, 'committed', 1, 0, 0, now(), now())"
    )
    assert sensor.tick() == []
    assert sensor.text.endswith("no such partition (MINUTE_BARS_FIRST_SESSION): 2018-01-17.")


def test_a_database_that_is_away_is_one_clear_line(launch, instance, maintainer):
    launch(Market(), "minute_bars", FIRST)
    fields = {name: getattr(maintainer, name) for name in ("host", "port", "dbname")}
    away = type(maintainer)(**fields, password="wrong")
    located = build_defs({"timescaledb_maintainer": away}, SETTINGS)
    sensor = Sensor(located, instance)
    assert sensor.tick() == []
    assert sensor.text.startswith("cannot reach TimescaleDB ")
    assert "check TIMESCALE_HOST, TIMESCALE_PORT, COLLECTOR_MAINTAINER_PASSWORD" in sensor.text


def test_aggregates_that_are_not_in_place_are_one_clear_line(launch, sensor, query, stack):
    launch(Market(), "minute_bars", FIRST)
    ((is_view,),) = query("SELECT relkind = 'v' FROM pg_class WHERE relname = 'volume_profile'")
    query(f"DROP {'MATERIALIZED VIEW' if is_view else 'TABLE'} volume_profile")
    try:
        assert sensor.tick() == []
        says = "aggregates are not in place as this version needs them: volume_profile (new)"
        assert sensor.text.startswith(says)
        result = launch(Market(), "candles_5m", FIRST)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert failure.step_failure_data.user_failure_data.description.startswith(says)
    finally:
        from embedded import migrations

        migrations.deploy_aggregates(stack.environment)
    assert asked(sensor.tick()) == [(FIRST, FIRST, NAMES)]
