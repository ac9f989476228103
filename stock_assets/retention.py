"""The asset ``retention``: chunks older than their table is kept for, dropped."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta

import dagster as dg
from pydantic import Field

from resources.aggregates import AGGREGATES
from resources.calendar import SEOUL, seoul_now
from resources.databases import TimescaleMaintainer
from resources.hypertables import HYPERTABLES, Hypertable
from resources.settings import MarketSettings
from stock_assets.compression import COMPRESSION
from stock_assets.server import SERVER, server_or_failure
from stock_assets.workers import claim_run

_DESCRIPTION = """\
Whole chunks older than their table's limit (…_RETENTION, in days; empty keeps everything), dropped
once all aggregates have their rows. The ledger keeps a line per dropped session. `dry_run` in the
run config only says what would go.
"""


class RetentionConfig(dg.Config):
    """Run config of ``retention``."""

    dry_run: bool = Field(False, description="Drop nothing, say what would be dropped.")


def retention_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    @dg.asset(
        name="retention",
        description=_DESCRIPTION,
        group_name="maintenance",
        kinds={"timescaledb"},
        owners=["team:market-data"],
        deps=[COMPRESSION, *(aggregate.name for aggregate in AGGREGATES)],
    )
    def drop_old_chunks(
        context: dg.AssetExecutionContext,
        config: RetentionConfig,
        timescaledb_maintainer: TimescaleMaintainer,
    ) -> dg.MaterializeResult[None]:
        from resources.edition import server_of

        claim_run(context)
        server = str(server_or_failure(server_of, timescaledb_maintainer))
        limits = {table: settings.retention(table.name) for table in HYPERTABLES}
        kept_for = {table: days for table, days in limits.items() if days is not None}
        if not kept_for:
            reason = "no table has a limit (…_RETENTION in .env): everything is kept"
            context.log.info(f"skipped: {reason}")
            return dg.MaterializeResult(metadata={SERVER: server, "skipped": reason})
        numbers, failures = _drop_expired(context, timescaledb_maintainer, kept_for, config.dry_run)
        metadata = {SERVER: server, **numbers}
        if failures:
            raise dg.Failure("\n".join(failures), metadata=metadata, allow_retries=False)
        return dg.MaterializeResult(metadata=metadata)

    return drop_old_chunks


def _drop_expired(
    context: dg.AssetExecutionContext,
    maintainer: TimescaleMaintainer,
    kept_for: Mapping[Hypertable, int],
    dry_run: bool,
) -> tuple[dict[str, int | str | bool], list[str]]:
    """Drop what is too old of each table (kept for so many days); the numbers for the record, and
    an error for each chunk that could not be dropped."""
    from resources.databases import DatabaseError
    from resources.hypertables import ChunkBusyError
    from resources.retention import UnrefreshedError, drop, expired_chunks

    began = seoul_now()
    today = datetime.combine(began.date(), time.min, SEOUL)
    metadata: dict[str, int | str | bool] = {"dry_run": dry_run}
    failures: list[str] = []
    for table, days in kept_for.items():
        chunks = expired_chunks(maintainer, table, today - timedelta(days=days))
        dropped = rows = kept = 0
        for number, chunk in enumerate(chunks, 1):
            what = f"[{number}/{len(chunks)}] {table.name} {chunk.first_day} to {chunk.last_day}"
            try:
                gone = drop(
                    maintainer,
                    table,
                    chunk,
                    run_id=context.run.run_id,
                    began=began,
                    dry_run=dry_run,
                )
            except (ChunkBusyError, UnrefreshedError) as reason:
                kept += 1
                context.log.warning(f"{what}: kept, {reason}")
            except DatabaseError as error:
                failures.append(f"{table.name} {chunk.first_day}: {error}")
                context.log.error(f"{what}: {error}")
            else:
                dropped += 1
                rows += sum(gone.rows.values())
                verb = "would be dropped" if dry_run else "dropped"
                context.log.info(f"{what}: {sum(gone.rows.values()):,} rows {verb}")
        metadata |= {
            f"{table.name}_chunks_dropped": dropped,
            f"{table.name}_rows_dropped": rows,
            f"{table.name}_chunks_kept": kept,
        }
    return metadata, failures
