"""The asset ``timescale_stats``, the page for Prometheus, and what a Prometheus makes of it: under
load, all three say the same."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import requests
from prometheus_client import start_http_server
from prometheus_client.parser import text_string_to_metric_families

from embedded import sandbox
from embedded.stack import Stack
from resources.measurements import Measuring
from resources.measurements.endpoint import registry
from resources.measurements.sources import sources
from stock_assets.definitions import build_defs
from stock_assets.timescale_stats import TIMESCALE_STATS
from tests.conftest import free_ports
from tests.deployment.dashboard import EXPRESSIONS, MONITORING
from tests.integration.access import eventually, login
from tests.pipeline.market import SETTINGS
from tests.project import ended

Numbers = dict[str, float]
#: What stays as it is while clients hold what they have.
STABLE = (
    "up timescaledb",
    "up pgbouncer-ts",
    "chunks daily_bars",
    "chunks realtime_prices",
    "table_bytes realtime_prices",
    "index_bytes realtime_prices",
    "max_connections timescaledb",
    "connections timescaledb idle in transaction",
    "sessions_behind daily_bars",
    "disk_bytes",
)


@pytest.fixture
def page(stack: Stack, instance: dg.DagsterInstance) -> Iterator[str]:
    """Where the measurements are served."""
    (port,) = free_ports(1)
    measuring = Measuring(sources(stack.environment, SETTINGS))
    server, thread = start_http_server(port, "127.0.0.1", registry(measuring))
    yield f"127.0.0.1:{port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def prometheus(page: str, tests_root: Path, tmp_path: Path) -> Iterator[Callable[[str], list]]:
    """Ask a real Prometheus, which scrapes the page every second and knows our alerts."""
    (port,) = free_ports(1)
    shutil.copy(MONITORING / "rules.yml", tmp_path)
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: stock_assets, static_configs: [{{targets: ['{page}']}}]}}]\n"
    )
    command = [
        *("prometheus", "--config.file=/data/prometheus.yml", "--storage.tsdb.path=/data/tsdb"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    environment = {**sandbox.ENVIRONMENT, "PATH": sandbox.search_path()}
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            sandbox.command(tests_root, tmp_path, command, user="www-data"),
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

        def ask(expression: str) -> list:
            answer = requests.get(
                f"http://127.0.0.1:{port}/api/v1/query",
                params={"query": expression},
                timeout=10,
            )
            return list(answer.json()["data"]["result"])

        def scraped() -> bool:
            try:
                return bool(ask("stock_assets_up"))
            except (requests.RequestException, KeyError):
                return False

        try:
            eventually(scraped, 60)
            yield ask
        finally:
            ended(process)


def of_asset(instance: dg.DagsterInstance) -> tuple[Numbers, dict[str, object]]:
    """Materialise it; its numbers, and all of its metadata."""
    job = build_defs(settings=SETTINGS).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(TIMESCALE_STATS)]
    )
    (event,) = result.get_asset_materialization_events()
    metadata = {name: value.value for name, value in event.materialization.metadata.items()}
    numbers = {name: value for name, value in metadata.items() if isinstance(value, int | float)}
    return numbers, metadata


def same(title: str) -> str:
    """A number's title in whatever order its labels come."""
    name, *words = title.split() or [""]
    return " ".join((name, *sorted(words)))


def of_page(page: str) -> Numbers:
    text = requests.get(f"http://{page}/metrics", timeout=20).text
    return {
        same(
            f"{sample.name.removeprefix('stock_assets_')} {' '.join(sample.labels.values())}"
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of_prometheus(ask: Callable[[str], list]) -> Numbers:
    found: Numbers = {}
    for series in ask('{__name__=~"stock_assets_.*"}'):
        labels = {k: v for k, v in series["metric"].items() if k not in ("job", "instance")}
        name = labels.pop("__name__").removeprefix("stock_assets_")
        found[same(f"{name} {' '.join(labels.values())}")] = float(series["value"][1])
    return found


def of_panel(series: list) -> Numbers:
    """What a panel shows, by the values of the labels that are ours."""
    ours = ((one["metric"].items(), float(one["value"][1])) for one in series)
    return {
        same(" ".join(v for k, v in labels if k not in ("__name__", "job", "instance"))): value
        for labels, value in ours
    }


def test_under_load_all_three_say_the_same(
    stack: Stack, instance: dg.DagsterInstance, query, page: str, prometheus
) -> None:
    query(
        "INSERT INTO realtime_prices (time, symbol, seq, price, volume) SELECT "
        "'2025-01-02 01:00+00'::timestamptz + seq % 3 * interval '1 day', '005930', seq, 1, 1 "
        "FROM generate_series(1, 20000) AS seq"
    )
    query("INSERT INTO daily_bars VALUES ('2025-01-02', '005930', 1, 1, 1, 1, 1)")
    instance.add_run(dg.DagsterRun(job_name="an_earlier_one", status=dg.DagsterRunStatus.SUCCESS))
    with ExitStack() as clients:
        for _ in range(12):
            client = clients.enter_context(login(stack, "pgbouncer-ts"))
            client.execute("SELECT count(*) FROM realtime_prices")
        begun = time.time()

        def scraped_since() -> bool:
            (series,) = prometheus('timestamp(stock_assets_up{source="timescaledb"})')
            return float(series["value"][1]) > begun

        eventually(scraped_since, 30)
        asset, metadata = of_asset(instance)
        told, scraped = of_page(page), of_prometheus(prometheus)
        shown = {expression: of_panel(prometheus(expression)) for expression in EXPRESSIONS}
    assert asset["connections timescaledb idle in transaction"] == 12
    assert asset["chunks realtime_prices"] == 3
    for name in STABLE:
        assert asset[name] == told[same(name)] == scraped[same(name)], name
    # Its own run is the one that nobody saw before.
    assert {same(name) for name in asset} <= told.keys() | {"runs started"}
    pools = {
        (row.data["user"], row.data["state"]): row.data["clients"]
        for row in metadata["pools"].records
        if row.data["pooler"] == "pgbouncer-ts"
    }
    assert pools["collector_user", "active"] >= 12
    statements = [row.data["statement"] for row in metadata["slowest_statements"].records]
    assert any("realtime_prices" in statement for statement in statements)
    assert metadata["problems"].records == []
    of_dashboard(shown, told)


def of_dashboard(shown: dict[str, Numbers], told: Numbers) -> None:
    """What the dashboard asks is answered, with the page's numbers where those stay as they are."""
    # What needs failed rules, compressed chunks, a supervisor around us, a problem.
    absent = ("blocked", "failed_checks", "compress", "program_memory", "problem", "ALERTS")
    silent = {expression for expression, numbers in shown.items() if not numbers}
    assert {one for one in silent if not any(word in one for word in absent)} == set()
    for name in STABLE:
        quantity, _, labels = name.partition(" ")
        if (numbers := shown.get(f"stock_assets_{quantity}")) is not None:
            assert numbers[same(labels)] == told[same(name)], name
    (connections,) = (numbers for one, numbers in shown.items() if one.startswith("sum by (server"))
    assert connections[same("timescaledb idle in transaction")] == 12
    (sizes,) = (numbers for expression, numbers in shown.items() if "table_bytes" in expression)
    for table in ("realtime_prices", "daily_bars"):
        parts = (f"{part}_bytes {table}" for part in ("table", "index", "toast"))
        assert sizes[table] == sum(told.get(part, 0) for part in parts)


def test_a_server_that_is_away_is_a_number_and_a_problem(
    stack: Stack, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, clean
) -> None:
    monkeypatch.setenv("TIMESCALE_PORT", "1")
    numbers, metadata = of_asset(instance)
    assert numbers["up timescaledb"] == numbers["up pgbouncer-ts"] == 0
    assert numbers["up postgres"] == 1
    assert numbers["event_log_bytes"] > 0
    problems = {row.data["source"]: row.data["problem"] for row in metadata["problems"].records}
    assert problems.keys() == {"timescaledb", "pgbouncer-ts"}
    assert "check TIMESCALE_HOST, TIMESCALE_PORT" in problems["timescaledb"]
