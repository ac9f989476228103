"""The sensor over stale candles, tick after tick."""

import dagster as dg

from stock_assets import stale_candles

MAINTAINER = ["timescaledb_maintainer"]


class Sensor:
    """The sensor, tick after tick, and the runs it asks for."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.definitions = definitions
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> list[dg.RunRequest]:
        sensor = self.definitions.resolve_sensor_def("stale_candles")
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            definitions=self.definitions,
            resources={name: self.definitions.resources[name] for name in MAINTAINER},
        ) as context:
            result = sensor.evaluate_tick(context)
        self.cursor = result.cursor
        self.text = result.skip_message
        return list(result.run_requests or [])

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(stale_candles.JOB)
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=list(request.asset_selection or []),
            raise_on_error=False,
            tags=dict(request.tags),
        )
