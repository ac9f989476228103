"""The asset ``supply_demand``: net buying per symbol and session."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import from_symbols
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
Net buying of institutions, foreigners, individuals and other corporations in KRW; null where
a type was not observed, `estimated` where the source gave shares and no amounts.
"""


def supply_demand_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.SUPPLY_DEMAND,
        settings,
        description=_DESCRIPTION,
        group_name="flows",
        database="timescaledb",
        deps=[from_symbols()],
    )
