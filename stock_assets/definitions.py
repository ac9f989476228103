"""The code location: every asset, what drives and heals them, and the resources they share.

``build_defs`` is the one door; tests come through it too, with resources of their own.
"""

import gc
import warnings
from collections.abc import Mapping

import dagster as dg

from resources.databases import ApplicationDatabase, TimescaleDB, TimescaleMaintainer
from resources.settings import MarketSettings, market_settings
from resources.sources import MarketSource
from resources.tables import Dataset
from resources.webhook import AlertWebhook
from stock_assets.alerts import alerts_sensor
from stock_assets.candles import candle_assets
from stock_assets.checks import session_checks
from stock_assets.companies import companies_asset
from stock_assets.compression import compression_asset
from stock_assets.daily_bars import daily_bars_asset
from stock_assets.etf_constituents import etf_constituents_asset
from stock_assets.freshness import freshness_checks, freshness_sensor
from stock_assets.gaps import gaps_asset
from stock_assets.healing import healing_sensor
from stock_assets.housekeeping import housekeeping_job
from stock_assets.market_flows import market_flows_asset
from stock_assets.minute_bars import minute_bars_asset
from stock_assets.reconciliation import (
    reconciliation_checks,
    reconciliation_jobs,
    reconciliation_sensor,
)
from stock_assets.requeue import requeue_job
from stock_assets.retention import retention_asset
from stock_assets.schedules import (
    collection_jobs,
    gaps_schedule,
    housekeeping_schedule,
    maintenance_schedule,
    session_schedules,
    stats_schedule,
)
from stock_assets.session_report import session_report_asset
from stock_assets.stale_candles import stale_candles
from stock_assets.stale_reports import stale_reports
from stock_assets.supply_demand import supply_demand_asset
from stock_assets.symbols import symbols_asset
from stock_assets.timescale_stats import timescale_stats_asset
from stock_assets.unchecked import check_jobs, unchecked_sensor

# Backfill policies and partition mappings are marked beta since 2023; a warning per asset and
# command helps nobody.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
# Checks by partition are a preview since 2025; versions are pinned and tests hold what we use.
warnings.filterwarnings("ignore", "Specifying a partitions_def on an Asset", dg.PreviewWarning)


@dg.resource(description="Where market data comes from, as MARKET_SOURCE says.")
def configured_source() -> MarketSource:
    # Reading a mapping and starting a source take time that only runs need to spend.
    from resources.sources.selection import select_source

    return select_source(market_settings())


def build_defs(
    resource_overrides: Mapping[str, object] | None = None,
    settings: MarketSettings | None = None,
) -> dg.Definitions:
    """Assemble the code location.

    ``resource_overrides`` replaces ``market_source``, ``timescaledb``, ``timescaledb_maintainer``,
    ``application_database`` or ``alert_webhook``; ``settings`` (default: the environment's) decides
    the partitions.
    Raises ``SettingsError`` where the environment holds a value that cannot be used.
    """
    settings = settings or market_settings()
    resources: dict[str, object] = {
        "market_source": configured_source,
        "timescaledb": TimescaleDB.configured(),
        "timescaledb_maintainer": TimescaleMaintainer.configured(),
        "application_database": ApplicationDatabase.configured(),
        "alert_webhook": AlertWebhook.configured(),
    }
    assets = [
        symbols_asset(settings),
        daily_bars_asset(settings),
        minute_bars_asset(settings),
        supply_demand_asset(settings),
        market_flows_asset(settings),
        companies_asset(settings),
        etf_constituents_asset(settings),
    ]
    jobs = collection_jobs(assets)
    checks = {dataset: session_checks(dataset, settings) for dataset in Dataset}
    checking = check_jobs(checks)
    candles = candle_assets(settings)
    maintenance = [compression_asset(settings), retention_asset(settings)]
    gaps = gaps_asset(settings)
    stats = timescale_stats_asset(settings)
    report = session_report_asset(settings)
    reconciliations = reconciliation_checks(settings)
    housekeeping = housekeeping_job(settings)
    return dg.Definitions(
        assets=[*assets, *candles, report, *maintenance, gaps, stats],
        jobs=[requeue_job(), housekeeping],
        asset_checks=[
            *checks.values(),
            *reconciliations.values(),
            *freshness_checks(settings),
        ],
        schedules=[
            *session_schedules(jobs, settings),
            maintenance_schedule(maintenance, settings),
            gaps_schedule(gaps, settings),
            stats_schedule(stats, settings),
            housekeeping_schedule(housekeeping, settings),
        ],
        sensors=[
            healing_sensor(jobs),
            stale_candles(candles),
            stale_reports(report, settings),
            unchecked_sensor(checking, settings),
            reconciliation_sensor(reconciliation_jobs(reconciliations), settings),
            freshness_sensor(settings),
            alerts_sensor(settings),
        ],
        resources=resources | dict(resource_overrides or {}),
        # One step at a time in one process: starting a process per step takes longer than most
        # sessions do, and what a range gains from sharing a process would be lost.
        executor=dg.in_process_executor,
    )


defs = build_defs()
# What is imported stays; looking for garbage in it took a tenth of every run's start.
gc.freeze()
