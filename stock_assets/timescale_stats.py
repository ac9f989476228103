"""The asset ``timescale_stats``: what the platform measures of itself, as plots, every quarter of
an hour. Prometheus is told the same numbers (``resources.measurements``)."""

import os
from collections.abc import Iterable, Mapping

import dagster as dg

from resources.settings import MarketSettings
from stock_assets.tables import metadata_table
from stock_assets.workers import claim_run

TIMESCALE_STATS = "timescale_stats"
_DESCRIPTION = """\
Chunks, sizes, compression, slowest statements, cache, connections and pools of TimescaleDB, its
memory, how far the ledger is behind the calendar, free disk, and Dagster's event log: plotted over
time. What cannot be measured is named under `problems`; everything else is there all the same.
"""


def timescale_stats_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    @dg.asset(
        name=TIMESCALE_STATS,
        description=_DESCRIPTION,
        group_name="maintenance",
        kinds={"timescaledb"},
        owners=["team:market-data"],
    )
    def measure_ourselves(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        from resources.measurements import Measuring
        from resources.measurements.sources import sources

        claim_run(context)
        try:
            measuring = Measuring(sources(os.environ, settings))
        except KeyError as error:
            raise dg.Failure(
                f"{error.args[0]} is not set: make up adds it to .env", allow_retries=False
            ) from None
        measured = measuring.measure()
        for source, problem in measured.problems.items():
            context.log.warning(f"{source}: {problem}")
        numbers = {
            one.title: int(one.value) if one.value.is_integer() else one.value
            for one in measured.measurements
            if one.quantity.plotted
        }
        tables = {
            "slowest_statements": ("statement_", ["server", "statement"]),
            "pools": ("pool_", ["pooler", "database", "user", "state"]),
        }
        if not any(one.value for one in measured.measurements if one.quantity.name == "up"):
            raise dg.Failure("nothing answers", metadata=_problems(measured.problems))
        rows = {
            title: _wide(
                labels,
                (
                    (one.quantity.name.removeprefix(prefix), one.labels, one.value)
                    for one in measured.measurements
                    if one.quantity.name.startswith(prefix)
                ),
            )
            for title, (prefix, labels) in tables.items()
        }
        return dg.MaterializeResult(metadata={**numbers, **rows, **_problems(measured.problems)})

    return measure_ourselves


def _problems(problems: Mapping[str, str]) -> dict[str, dg.TableMetadataValue]:
    return {"problems": metadata_table(["source", "problem"], [*problems.items()])}


def _wide(
    labels: list[str], numbers: Iterable[tuple[str, tuple[str, ...], float]]
) -> dg.TableMetadataValue:
    """A row per labels, a column per quantity."""
    found: dict[tuple[str, ...], dict[str, float]] = {}
    names: list[str] = []
    for name, said, value in numbers:
        found.setdefault(said, {})[name] = value
        names += [] if name in names else [name]
    return metadata_table(
        [*labels, *names],
        [[*said, *(row.get(name, 0.0) for name in names)] for said, row in found.items()],
    )
