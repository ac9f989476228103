"""The asset ``daily_bars``: a bar per symbol and session."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import from_symbols
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
Whole-session bars of every symbol, in KRW as traded, with trading value and market cap. A
halted symbol has a close, no volume, and zeros for open, high and low.
"""


def daily_bars_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.DAILY_BARS,
        settings,
        description=_DESCRIPTION,
        group_name="bars",
        database="timescaledb",
        deps=[from_symbols()],
    )
