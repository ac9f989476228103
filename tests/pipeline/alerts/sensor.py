"""The sensor alerts, ticking, and what its tests load."""

import dagster as dg

from resources.settings import market_settings
from resources.webhook import AlertWebhook
from stock_assets.definitions import build_defs

OK, FAILING = "2025-01-02", "2025-01-03"
SETTINGS = market_settings({"DAGSTER_UI_URL": "http://ui:3000/"})


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
