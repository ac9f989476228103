"""The measurements for Prometheus: ``python -m resources.measurements.endpoint``.

Serves ``/metrics`` at METRICS_PORT of METRICS_ADDRESS (default: this machine alone). Every scrape
measures anew; what cannot be measured is ``up 0``, and ``problem`` says why.
"""

import os
import sys
import threading
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from resources.measurements import Measuring
from resources.measurements.quantities import Quantity
from resources.measurements.sources import sources
from resources.settings import SettingsError, market_settings

PREFIX = "stock_assets_"


class MeasurementCollector(Collector):
    """What ``measuring`` measures, in Prometheus' terms."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._said: dict[str, str] = {}

    def describe(self) -> list[Metric]:
        """Nothing: to know what there is, every server would have to be asked."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Measure."""
        measured = self._measuring.measure()
        families: dict[str, Metric] = {}
        for one in measured.measurements:
            family = families.setdefault(one.quantity.name, _family(one.quantity))
            family.add_metric(one.labels, one.value)  # type: ignore[attr-defined]
        yield from families.values()
        problems = GaugeMetricFamily(
            f"{PREFIX}problem", "What could not be measured.", labels=["source", "problem"]
        )
        for source, problem in measured.problems.items():
            problems.add_metric([source, problem], 1)
        yield problems
        self._log(dict(measured.problems))

    def _log(self, problems: dict[str, str]) -> None:
        # A line when something changes, not one per scrape.
        for source in sorted(problems.keys() | self._said):
            if problems.get(source) != self._said.get(source):
                print(f"{source}: {problems.get(source, 'answers again')}", flush=True)
        self._said = problems


def _family(quantity: Quantity) -> Metric:
    name = f"{PREFIX}{quantity.name}"
    kind = CounterMetricFamily if quantity.only_grows else GaugeMetricFamily
    return kind(name, quantity.help, labels=list(quantity.labels))


def registry(measuring: Measuring) -> CollectorRegistry:
    """A registry of our measurements alone."""
    found = CollectorRegistry()
    found.register(MeasurementCollector(measuring))
    return found


def main() -> int:
    """Serve until told to stop; an expected error is one line."""
    try:
        measuring = Measuring(sources(os.environ, market_settings()))
        port = int(os.environ.get("METRICS_PORT") or 9187)
        address = os.environ.get("METRICS_ADDRESS") or "127.0.0.1"
        _, thread = start_http_server(port, address, registry(measuring))
    except KeyError as error:
        print(f"error: {error.args[0]} is not set (.env.example describes it)", file=sys.stderr)
        return 1
    except (SettingsError, ValueError, OSError) as error:
        print(f"error: METRICS_PORT, METRICS_ADDRESS: {error}", file=sys.stderr)
        return 1
    _until_told(thread)
    return 0


def _until_told(thread: threading.Thread) -> None:
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    thread.join()


if __name__ == "__main__":
    sys.exit(main())
