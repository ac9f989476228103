"""The asset ``minute_bars``: a bar per symbol, venue and minute."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import from_symbols
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
1-minute bars of every symbol and venue, in KRW as traded, dated by the start of the minute;
the closing auction is the bar at the close (15:30). Provisional until the session is final.
"""


def minute_bars_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.MINUTE_BARS,
        settings,
        description=_DESCRIPTION,
        group_name="bars",
        database="timescaledb",
        deps=[from_symbols()],
    )
