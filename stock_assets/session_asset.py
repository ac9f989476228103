"""How an asset whose partitions are KRX sessions is made."""

from collections.abc import Iterable, Iterator
from typing import cast

import dagster as dg

from resources.settings import MarketSettings
from resources.tables import TABLES, Dataset
from stock_assets.backfill import LoadConfig, load_sessions
from stock_assets.partitions import session_partitions
from stock_assets.table_metadata import table_metadata


def session_asset(
    dataset: Dataset,
    settings: MarketSettings,
    *,
    description: str,
    group_name: str,
    database: str,
    deps: Iterable[dg.AssetDep] = (),
) -> dg.AssetsDefinition:
    """An asset that loads ``dataset`` a session at a time into the database whose resource key is
    ``database``; a range of partitions is one run."""

    @dg.asset(
        name=dataset.value,
        description=description,
        group_name=group_name,
        kinds={"timescaledb" if database == "timescaledb" else "postgresql", "table"},
        owners=["team:market-data"],
        deps=list(deps),
        partitions_def=session_partitions(dataset, settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata=table_metadata(TABLES[dataset]),
        required_resource_keys={"market_source", database},
        # Rows go to the database, not through an IO manager.
        dagster_type=cast(dg.DagsterType, dg.Nothing),
    )
    def asset(context: dg.AssetExecutionContext, config: LoadConfig) -> Iterator[dg.Output[None]]:
        yield from load_sessions(
            context,
            config,
            dataset,
            source=context.resources.market_source,
            database=getattr(context.resources, database),
        )

    return asset
