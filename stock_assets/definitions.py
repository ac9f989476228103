"""The code location: every asset, what drives and heals them, and the resources they share.

``build_defs`` is the one door; tests come through it too, with resources of their own.
"""

import warnings
from collections.abc import Mapping

import dagster as dg

from resources.databases import ApplicationDatabase, TimescaleDB, TimescaleMaintainer
from resources.settings import MarketSettings, market_settings
from resources.sources import MarketSource
from stock_assets.candles import candle_assets
from stock_assets.companies import companies_asset
from stock_assets.compression import compression_asset
from stock_assets.daily_bars import daily_bars_asset
from stock_assets.etf_constituents import etf_constituents_asset
from stock_assets.healing import healing_sensor
from stock_assets.minute_bars import minute_bars_asset
from stock_assets.retention import retention_asset
from stock_assets.schedules import collection_jobs, maintenance_schedule, session_schedules
from stock_assets.stale_candles import stale_candles
from stock_assets.supply_demand import supply_demand_asset
from stock_assets.symbols import symbols_asset

# Backfill policies and partition mappings are marked beta since 2023; a warning per asset and
# command helps nobody.
warnings.filterwarnings("ignore", category=dg.BetaWarning)


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

    ``resource_overrides`` replaces ``market_source``, ``timescaledb``, ``timescaledb_maintainer``
    or ``application_database``; ``settings`` (default: the environment's) decides the partitions.
    Raises ``SettingsError`` where the environment holds a value that cannot be used.
    """
    settings = settings or market_settings()
    resources: dict[str, object] = {
        "market_source": configured_source,
        "timescaledb": TimescaleDB.configured(),
        "timescaledb_maintainer": TimescaleMaintainer.configured(),
        "application_database": ApplicationDatabase.configured(),
    }
    assets = [
        symbols_asset(settings),
        daily_bars_asset(settings),
        minute_bars_asset(settings),
        supply_demand_asset(settings),
        companies_asset(settings),
        etf_constituents_asset(settings),
    ]
    jobs = collection_jobs(assets)
    candles = candle_assets(settings)
    maintenance = [compression_asset(settings), retention_asset(settings)]
    return dg.Definitions(
        assets=[*assets, *candles, *maintenance],
        schedules=[
            *session_schedules(jobs, settings),
            maintenance_schedule(maintenance, settings),
        ],
        sensors=[healing_sensor(jobs), stale_candles(candles)],
        resources=resources | dict(resource_overrides or {}),
        # One step at a time in one process: starting a process per step takes longer than most
        # sessions do, and what a range gains from sharing a process would be lost.
        executor=dg.in_process_executor,
    )


defs = build_defs()
