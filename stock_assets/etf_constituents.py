"""The asset ``etf_constituents``: what each ETF holds."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import from_symbols
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
What a creation unit of each ETF holds, by session: shares, value in KRW and weight in percent of
every constituent, cash included. `symbols` in the run config names ETFs.
"""


def etf_constituents_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.ETF_CONSTITUENTS,
        settings,
        description=_DESCRIPTION,
        group_name="reference",
        database="application_database",
        deps=[from_symbols()],
    )
