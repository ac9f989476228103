"""The asset ``companies``: what is known of each listed company."""

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import from_symbols
from stock_assets.session_asset import session_asset

_DESCRIPTION = """\
Listed companies, dated: sector, industry, products, seat, listing date and face value. A session's
partition is what the source says as of that session; ask for it with
`SELECT * FROM companies_on('2025-01-02')`.
"""


def companies_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    return session_asset(
        Dataset.COMPANIES,
        settings,
        description=_DESCRIPTION,
        group_name="reference",
        database="application_database",
        deps=[from_symbols()],
    )
