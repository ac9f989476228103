import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from resources.aggregates import AGGREGATES
from resources.checks.reconciliation import RECONCILIATIONS
from resources.tables import TABLES, Dataset
from stock_assets.definitions import build_defs

ROOT = Path(__file__).parents[2]
_ENGINES = {"timescaledb": "timescaledb", "application_database": "postgresql"}


@pytest.fixture(scope="module")
def graph():
    return build_defs().resolve_asset_graph()


def test_they_hold_together():
    """No two have a name that only one may have, and every resource is there."""
    dg.Definitions.validate_loadable(build_defs())


def test_assets_say_what_they_are(graph):
    nodes = {node.key.to_user_string(): node for node in graph.asset_nodes}
    tables = {str(dataset): TABLES[dataset] for dataset in Dataset}
    tables |= {aggregate.name: aggregate for aggregate in AGGREGATES}
    assert set(nodes) == {
        *tables,
        "session_report",
        "compression",
        "retention",
        "gaps",
        "timescale_stats",
    }
    for name, table in tables.items():
        node = nodes[name]
        assert node.metadata["dagster/table_name"] == f"public.{table.name}"
        schema = node.metadata["dagster/column_schema"]
        assert [column.name for column in schema.columns] == [
            column.name for column in table.columns
        ]
        assert all(column.description and column.type for column in schema.columns)
        assert node.owners == ["team:market-data"]
        assert node.kinds == {_ENGINES[getattr(table, "database", "timescaledb")], "table"}
        assert node.group_name in ("reference", "bars", "flows", "candles")
        assert len(node.description) > 50
        assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_lineage_leads_from_symbols_to_the_rest(graph):
    parents = {
        node.key.to_user_string(): {key.to_user_string() for key in node.parent_keys}
        for node in graph.asset_nodes
    }
    assert parents == {
        "symbols": set(),
        "daily_bars": {"symbols"},
        "minute_bars": {"symbols"},
        "supply_demand": {"symbols"},
        "market_flows": set(),
        "companies": {"symbols"},
        "etf_constituents": {"symbols"},
        "candles_5m": {"minute_bars"},
        "daily_candles": {"candles_5m"},
        "volume_profile": {"minute_bars"},
        "session_report": {
            *("symbols", "daily_bars", "minute_bars", "supply_demand"),
            *(aggregate.name for aggregate in AGGREGATES),
        },
        "compression": {"daily_bars", "minute_bars", "supply_demand", "market_flows"},
        "retention": {"compression", "candles_5m", "daily_candles", "volume_profile"},
        "gaps": {*Dataset, "candles_5m", "daily_candles", "volume_profile"},
        "timescale_stats": set(),
    }


def test_candles_have_the_partitions_of_minute_bars(graph):
    """Else they could not be backfilled together."""
    partitions = {node.key.to_user_string(): node.partitions_def for node in graph.asset_nodes}
    for aggregate in AGGREGATES:
        assert partitions[aggregate.name] == partitions["minute_bars"]


def test_every_reconciliation_is_a_check_of_its_asset(graph):
    checks = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    assert {(one.asset, one.rule.name) for one in RECONCILIATIONS} <= checks
    assert ("gaps", "nothing_missing") in checks
    sensor = build_defs().resolve_sensor_def("reconciliation")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_stale_candles_are_looked_for_unasked():
    sensor = build_defs().resolve_sensor_def("stale_candles")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 30


def test_dagster_forgets_unasked():
    schedule = build_defs().resolve_schedule_def("housekeeping")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "housekeeping"


def test_resources_can_be_overridden():
    class Nowhere:
        pass

    source = Nowhere()
    resources = build_defs({"market_source": source}).resources
    assert resources["market_source"] is source
    assert set(resources) == {
        "market_source",
        "timescaledb",
        "timescaledb_maintainer",
        "application_database",
        "alert_webhook",
    }


def test_importing_the_location_imports_nothing_heavy():
    """Every command and every code server pays for it."""
    heavy = "pandas pandera pyarrow exchange_calendars sqlalchemy adbc_driver_postgresql psycopg "
    heavy += "matplotlib PIL"
    script = (
        "import sys; from resources.calendar import krx_calendar; krx_calendar()\n"
        "before = set(sys.modules)\n"
        "import stock_assets.definitions\n"
        f"print(*[name for name in {heavy.split()} if name in sys.modules and name not in before])"
    )
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, cwd=ROOT)  # the calendar is cached from here on
    found = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.split() == []
