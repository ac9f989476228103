"""The assets ``candles_5m``, ``daily_candles`` and ``volume_profile``: aggregates over minute bars.

They are one thing made thrice: a session of each is a refresh of what ``resources.aggregates``
defines. When they run is said by lineage (in a run with ``minute_bars``) and in ``stale_candles``.
"""

from collections.abc import Iterator
from typing import cast

import dagster as dg

from resources.aggregates import AGGREGATES, Aggregate, source_aggregate
from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.checks import RESOURCES
from stock_assets.partitions import session_partitions
from stock_assets.refreshes import refresh_sessions
from stock_assets.table_metadata import table_metadata

_DESCRIPTION = """\
{}. A session is refreshed after each load of its minute bars, from whatever edition of
TimescaleDB: Community keeps it as a continuous aggregate, Apache as a table.
"""


def candle_assets(settings: MarketSettings) -> list[dg.AssetsDefinition]:
    """The three of them, each after what it reads."""
    return [_candle_asset(aggregate, settings) for aggregate in AGGREGATES]


def _candle_asset(aggregate: Aggregate, settings: MarketSettings) -> dg.AssetsDefinition:
    source = source_aggregate(aggregate)

    @dg.asset(
        name=aggregate.name,
        description=_DESCRIPTION.format(aggregate.description),
        group_name="candles",
        kinds={"timescaledb", "table"},
        owners=["team:market-data"],
        deps=[source.name if source else Dataset.MINUTE_BARS.value],
        partitions_def=session_partitions(Dataset.MINUTE_BARS, settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata=table_metadata(aggregate),
        required_resource_keys={"timescaledb_maintainer", *RESOURCES},
        dagster_type=cast(dg.DagsterType, dg.Nothing),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        yield from refresh_sessions(context, aggregate, context.resources.timescaledb_maintainer)

    return asset
