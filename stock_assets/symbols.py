"""The asset ``symbols``: the members of each session."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
What KRX lists, dated: name, market, kind, listing and delisting. A session's partition is its
members; ask for them with `SELECT * FROM symbols_on('2025-01-02')`.
"""


def symbols_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.SYMBOLS,
        settings,
        description=_DESCRIPTION,
        group_name="reference",
        database="application_database",
    )
