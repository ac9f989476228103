"""The asset ``market_flows``: net buying in each market as a whole."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
Net buying of institutions, foreigners, individuals and other corporations in KOSPI and in KOSDAQ as
a whole, in KRW; the four sum to zero. It knows no symbols: `symbols` in the run config is refused.
"""


def market_flows_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.MARKET_FLOWS,
        settings,
        description=_DESCRIPTION,
        group_name="flows",
        database="timescaledb",
    )
