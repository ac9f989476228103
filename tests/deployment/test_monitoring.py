"""What Prometheus and Grafana are given: it is accepted, and speaks of what there is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedded import sandbox
from embedded.paths import CHECKOUT
from resources.measurements.endpoint import PREFIX
from resources.measurements.quantities import QUANTITIES
from tests.deployment.conftest import Config
from tests.deployment.dashboard import DASHBOARD, EXPRESSIONS, MONITORING, PANELS

RULES = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]

#: By alert: series that set it off, and the labels it then has. "a+bxn": from a, b more n times.
PROVOKED: dict[str, tuple[dict[str, str], list[dict[str, str]]]] = {
    "MeasurementsMissing": ({'up{job="stock_assets"}': "0x600"}, [{"job": "stock_assets"}]),
    "MeasurementsIncomplete": (
        {
            'problem{source="postgres", problem="denied"}': "1x600",
            'up{source="postgres"}': "1x600",
        },
        [{"source": "postgres", "problem": "denied"}],
    ),
    "ServerAway": ({'up{source="postgres"}': "0x600"}, [{"source": "postgres"}]),
    "ClientsWait": (
        {'longest_wait_seconds{pooler="pgbouncer-ts"}': "6x600"},
        [{"pooler": "pgbouncer-ts"}],
    ),
    "ConnectionsRunOut": (
        {
            'connections{server="timescaledb", state="idle"}': "50x600",
            'connections{server="timescaledb", state="active"}': "41x600",
            'max_connections{server="timescaledb"}': "100x600",
        },
        [{"server": "timescaledb"}],
    ),
    "DiskLow": ({"disk_free_bytes": "9x600", "disk_bytes": "100x600"}, [{}]),
    "DiskFillsUp": ({"disk_free_bytes": "9000-5x600", "disk_bytes": "10000x600"}, [{}]),
    "MemoryShort": (
        {
            'machine_memory_bytes{state="available"}': "9x600",
            'machine_memory_bytes{state="total"}': "100x600",
        },
        [{}],
    ),
    "LocksWait": ({'lock_waits{server="timescaledb"}': "1x600"}, [{"server": "timescaledb"}]),
    "TransactionOld": (
        {'longest_transaction_seconds{server="postgres"}': "3601x600"},
        [{"server": "postgres"}],
    ),
    "ClockWrong": (
        {'clock_offset_seconds{server="postgres"}': "-6x600"},
        [{"server": "postgres"}],
    ),
    "SessionsMissing": (
        {'sessions_behind{asset="daily_bars"}': "1x600", "collected_unasked": "1x600"},
        [{"asset": "daily_bars"}],
    ),
    "SessionsBlocked": (
        {'blocked_sessions{asset="daily_bars"}': "1x600"},
        [{"asset": "daily_bars"}],
    ),
    "CacheTooSmall": (
        {
            'cache_hits_total{server="timescaledb"}': "0+89x600",
            'cache_misses_total{server="timescaledb"}': "0+11x600",
        },
        [{"server": "timescaledb"}],
    ),
}
#: Series beside which the alert is silent, though they are as near to it as can be.
QUIET = {
    "MeasurementsMissing": {'up{job="stock_assets"}': "1x600"},
    "MeasurementsIncomplete": {
        'problem{source="postgres", problem="no answer"}': "1x600",
        'up{source="postgres"}': "0x600",
    },
    "ServerAway": {'up{source="postgres"}': "1x600"},
    "ClientsWait": {'longest_wait_seconds{pooler="pgbouncer-ts"}': "5x600"},
    "ConnectionsRunOut": {
        'connections{server="timescaledb", state="idle"}': "90x600",
        'max_connections{server="timescaledb"}': "100x600",
    },
    "DiskLow": {"disk_free_bytes": "10x600", "disk_bytes": "100x600"},
    "DiskFillsUp": {"disk_free_bytes": "9000-1x600"},
    "MemoryShort": {
        'machine_memory_bytes{state="available"}': "10x600",
        'machine_memory_bytes{state="total"}': "100x600",
    },
    "LocksWait": {'lock_waits{server="timescaledb"}': "0x600"},
    "TransactionOld": {'longest_transaction_seconds{server="postgres"}': "3600x600"},
    "ClockWrong": {'clock_offset_seconds{server="postgres"}': "-5x600"},
    "SessionsMissing": {
        'sessions_behind{asset="daily_bars"}': "1x600",
        "collected_unasked": "0x600",
    },
    "SessionsBlocked": {'blocked_sessions{asset="daily_bars"}': "0x600"},
    "CacheTooSmall": {
        'cache_hits_total{server="timescaledb"}': "0+91x600",
        'cache_misses_total{server="timescaledb"}': "0+9x600",
    },
}


@pytest.fixture
def promtool(tests_root: Path, tmp_path: Path) -> Any:
    for name in ("prometheus.yml", "rules.yml"):
        shutil.copy(MONITORING / name, tmp_path)

    def promtool(*arguments: str) -> None:
        result = sandbox.run(tests_root, tmp_path, ["promtool", *arguments], user="www-data")
        assert result.returncode == 0, result.stdout + result.stderr

    return promtool


def series_of(values: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"series": name if name.startswith("up{job") else f"{PREFIX}{name}", "values": numbers}
        for name, numbers in values.items()
    ]


def test_prometheus_accepts_its_configuration(promtool: Any) -> None:
    promtool("check", "config", "/data/prometheus.yml")


def test_each_alert_is_set_off_by_what_it_is_about_and_by_nothing_less(
    promtool: Any, tmp_path: Path
) -> None:
    severity = {rule["alert"]: rule["labels"] for rule in RULES}
    assert PROVOKED.keys() == QUIET.keys() == severity.keys()
    tests = []
    for alert, (values, labels) in PROVOKED.items():
        expected = [{"exp_labels": {**one, **severity[alert]}} for one in labels]
        for given, alerts in ((values, expected), (QUIET[alert], [])):
            checked = {"eval_time": "8h", "alertname": alert, "exp_alerts": alerts}
            series = {"interval": "1m", "input_series": series_of(given)}
            tests.append({**series, "alert_rule_test": [checked]})
    # Texts follow the numbers; what they say is not this test's.
    bare = [{name: rule[name] for name in rule if name != "annotations"} for rule in RULES]
    groups = {"groups": [{"name": "all", "rules": bare}]}
    (tmp_path / "bare.yml").write_text(yaml.safe_dump(groups))
    content = {"rule_files": ["bare.yml"], "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(content))
    promtool("test", "rules", "/data/tests.yml")


def test_rules_and_dashboard_speak_of_what_is_measured() -> None:
    said = " ".join([*EXPRESSIONS, *(rule["expr"] for rule in RULES)])
    names = set(re.findall(rf"{PREFIX}(\w+)", said))
    assert names <= {*QUANTITIES, "problem"}
    # What has a better form there: the ratio over time, and the bytes that the ratio is of.
    elsewhere = {"cache_hit_ratio", "before_compression_bytes", "after_compression_bytes"}
    elsewhere |= {"received_bytes_total", "sent_bytes_total", "waited_seconds_total"}
    elsewhere |= {"pool_clients", "pool_servers", "shared_memory_bytes", "statement_calls_total"}
    shown = set(re.findall(rf"{PREFIX}(\w+)", " ".join(EXPRESSIONS)))
    assert shown == {*QUANTITIES, "problem"} - elsewhere - {"collected_unasked"}


def test_texts_name_labels_that_there_are() -> None:
    told = [
        (target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]
    ]
    told += [(rule["expr"], rule["annotations"]["summary"]) for rule in RULES]
    for expression, text in told:
        names = set(re.findall(rf"{PREFIX}(\w+)", expression)) - {"problem"}
        labels = {label for name in names for label in QUANTITIES[name].labels}
        labels |= {"source", "problem"} if f"{PREFIX}problem" in expression else set()
        named = re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", text)
        assert set(named) <= labels, text


def test_every_alert_names_its_section_of_the_guide() -> None:
    guide = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", guide, re.MULTILINE)
    }
    for rule in RULES:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/operations.md"
        assert anchor in anchors, rule["alert"]
        assert rule["annotations"]["summary"]
        # Who reads the section knows which alerts led to it.
        assert f"`{rule['alert']}`" in guide


def test_panels_say_what_they_show_and_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"], panel["title"]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        expressions = " ".join(target["expr"] for target in panel["targets"])
        wanted = {"_bytes": ("bytes", "Bps"), "_seconds": ("s",)}
        for ending, units in wanted.items():
            assert ending not in expressions or unit in units, panel["title"]


def test_grafana_finds_its_data_and_its_dashboard(config: Config) -> None:
    folder = MONITORING / "grafana" / "provisioning"
    sources = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())
    (source,) = sources["datasources"]
    used = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert used == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    providers = yaml.safe_load((folder / "dashboards/dashboards.yml").read_text())
    (provider,) = providers["providers"]
    mounts = {mount["target"] for mount in config["services"]["grafana"]["volumes"]}
    assert provider["options"]["path"] in mounts
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_scrapes_the_service(config: Config) -> None:
    content = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    (job,) = content["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert str(config["services"][host]["environment"]["METRICS_PORT"]) == port
    networks = [set(config["services"][name]["networks"]) for name in (host, "prometheus")]
    assert networks[0] & networks[1]
