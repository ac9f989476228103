"""Real Dagster runs in this process, over the stack's databases."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)

from stock_assets.definitions import build_defs
from tests.pipeline.market import SETTINGS, Market
from tests.pipeline.stale_candles import Sensor


@pytest.fixture
def definitions(
    timescaledb, maintainer, application_database
) -> Callable[[Market], dg.Definitions]:
    """The code location over a market of the test's own."""
    databases = {
        "timescaledb": timescaledb,
        "timescaledb_maintainer": maintainer,
        "application_database": application_database,
    }
    return lambda market: build_defs({"market_source": market, **databases}, SETTINGS)


@pytest.fixture
def launch(instance, definitions):
    """Run assets over a range of partitions, as `dg launch` and the UI do, in this process."""

    def launch(
        source: Market, assets: str, first: str, last: str | None = None, **config: object
    ) -> dg.ExecuteInProcessResult:
        keys = [dg.AssetKey(name) for name in assets.split(",")]
        job = definitions(source).resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=instance,
            asset_selection=keys,
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            },
            run_config={"ops": {name: {"config": config} for name in assets.split(",")}},
        )

    return launch


@pytest.fixture
def server_says(query) -> str:
    """What the TimescaleDB server calls itself, as events are to say it."""
    ((licence, timescaledb, postgresql),) = query(
        """SELECT current_setting('timescaledb.license'), extversion,
                  split_part(current_setting('server_version'), ' ', 1)
           FROM pg_extension WHERE extname = 'timescaledb'"""
    )
    edition = {"apache": "Apache", "timescale": "Community"}[licence]
    return f"TimescaleDB {timescaledb} {edition} on PostgreSQL {postgresql}"


@pytest.fixture
def recorded(instance):
    """Materialisations of an asset, oldest first, as (session, rows)."""

    def recorded(asset: str) -> list[tuple[str, int]]:
        events = instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
        return [
            (
                event.partition_key,
                event.asset_materialization.metadata["dagster/partition_row_count"].value,
            )
            for event in reversed(events)
        ]

    return recorded


@pytest.fixture
def sensor(definitions, instance) -> Sensor:
    """The sensor over stale candles."""
    return Sensor(definitions(Market()), instance)


@pytest.fixture
def heal(instance, definitions, timescaledb, application_database):
    """One tick of the sensor, with Dagster's part in it: events and runs."""

    def heal() -> tuple[str, list[dg.RunRequest]]:
        repository = definitions(Market()).get_repository_def()
        sensor = repository.get_sensor_def("record_healing")
        resources = {"timescaledb": timescaledb, "application_database": application_database}
        with dg.build_sensor_context(
            instance, repository_def=repository, resources=resources
        ) as context:
            result = sensor.evaluate_tick(context)
        for event in result.asset_events:
            instance.report_runless_asset_event(event)
        return result.skip_message or "", result.run_requests

    return heal


@pytest.fixture
def switch(instance) -> Iterator[Callable[..., None]]:
    """Switch a schedule on or off, as the UI does."""
    repository = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("localhost", 1), "repository")

    def switch(name: str, *, on: bool) -> None:
        status = InstigatorStatus.RUNNING if on else InstigatorStatus.STOPPED
        origin = RemoteInstigatorOrigin(repository, name)
        data = ScheduleInstigatorData("0 0 * * *")
        state = InstigatorState(origin, InstigatorType.SCHEDULE, status, data)
        known = {found.instigator_name for found in instance.all_instigator_state()}
        change = (
            instance.update_instigator_state if name in known else instance.add_instigator_state
        )
        change(state)

    yield switch
    # Wiping an instance leaves this.
    instance.schedule_storage.wipe()
