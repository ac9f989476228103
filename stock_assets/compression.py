"""The asset ``compression``: old chunks of every hypertable, compressed."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

import dagster as dg

from resources.calendar import SEOUL, seoul_now
from resources.databases import TimescaleMaintainer
from resources.hypertables import HYPERTABLES, Hypertable
from resources.settings import MarketSettings
from resources.tables import TABLES, Dataset
from stock_assets.server import SERVER, server_or_failure
from stock_assets.workers import claim_run

_DESCRIPTION = """\
Chunks of all hypertables that are older than COMPRESS_AFTER days, compressed; also those that were
compressed and got rows since. Plotted: chunks, bytes and ratio of each table. Where the server's
edition cannot compress, it says so.
"""

COMPRESSION = "compression"
_LOADED = tuple(dataset for dataset in Dataset if TABLES[dataset].database == "timescaledb")


def compression_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    days = settings.compress_after

    @dg.asset(
        name=COMPRESSION,
        description=_DESCRIPTION,
        group_name="maintenance",
        kinds={"timescaledb"},
        owners=["team:market-data"],
        deps=[dataset.value for dataset in _LOADED],
    )
    def compress_old_chunks(
        context: dg.AssetExecutionContext, timescaledb_maintainer: TimescaleMaintainer
    ) -> dg.MaterializeResult[None]:
        from resources.edition import Edition, server_of

        claim_run(context)
        server = server_or_failure(server_of, timescaledb_maintainer)
        if server.edition is not Edition.COMMUNITY:
            reason = f"{server} cannot compress; TimescaleDB Community can"
            context.log.info(f"skipped: {reason}")
            return dg.MaterializeResult(metadata={SERVER: str(server), "skipped": reason})
        today = datetime.combine(seoul_now().date(), time.min, SEOUL)
        before = today - timedelta(days=days)
        metadata: dict[str, int | float | str] = {SERVER: str(server)}
        failures: list[str] = []
        for table in HYPERTABLES:
            failures += _compress_table(context, timescaledb_maintainer, table, before, metadata)
        if failures:
            raise dg.Failure("\n".join(failures), metadata=metadata, allow_retries=False)
        return dg.MaterializeResult(metadata=metadata)

    return compress_old_chunks


def _compress_table(
    context: dg.AssetExecutionContext,
    maintainer: TimescaleMaintainer,
    table: Hypertable,
    before: datetime,
    metadata: dict[str, int | float | str],
) -> Iterator[str]:
    """Compress what is old of a table and add its numbers to ``metadata``; yields an error for
    each chunk that could not be compressed."""
    from resources.compression import compress, compression, uncompressed_chunks
    from resources.databases import DatabaseError
    from resources.hypertables import ChunkBusyError

    chunks = uncompressed_chunks(maintainer, table, before)
    done = bytes_before = bytes_after = 0
    for number, chunk in enumerate(chunks, 1):
        what = f"[{number}/{len(chunks)}] {table.name} {chunk.first_day} to {chunk.last_day}"
        try:
            size = compress(maintainer, table, chunk)
        except ChunkBusyError:
            context.log.warning(f"{what}: a load is under way; the next run compresses it")
        except DatabaseError as error:
            context.log.error(f"{what}: {error}")
            yield f"{table.name} {chunk.first_day} to {chunk.last_day} was not compressed: {error}"
        else:
            done += 1
            bytes_before += size.before
            bytes_after += size.after
            context.log.info(f"{what}: {size.before:,} → {size.after:,} bytes, {size.ratio:.1f} ×")
    all_of_it = compression(maintainer, table)
    # A table that holds nothing has nothing to plot.
    if not all_of_it.chunks:
        return
    numbers: dict[str, int | float] = {
        "chunks_compressed": done,
        "bytes_before": bytes_before,
        "bytes_after": bytes_after,
        "chunks": all_of_it.chunks,
        "chunks_in_columnstore": all_of_it.compressed,
    }
    # Of a table with nothing compressed, a ratio would say nothing and spoil the plot.
    if all_of_it.compressed:
        numbers["ratio"] = round(all_of_it.size.ratio, 2)
    metadata.update({f"{table.name}_{name}": value for name, value in numbers.items()})
