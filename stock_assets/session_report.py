"""The asset ``session_report``: which sessions can be trusted.

A session is materialised when it can be, fails when it is loaded and wrong, and is left out while
something is missing: so the colours of the partitions say it.
"""

import base64
import time
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from resources.aggregates import AGGREGATES
from resources.calendar import krx_calendar, seoul_now
from resources.connections import Databases
from resources.databases import DatabaseError
from resources.settings import MarketSettings
from resources.tables import Dataset
from stock_assets.partitions import krx_sessions
from stock_assets.record import ALREADY_RECORDED, record
from stock_assets.tables import metadata_table
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from resources.trust import Session

NAME = "session_report"
PARTS = (Dataset.SYMBOLS, Dataset.DAILY_BARS, Dataset.MINUTE_BARS, Dataset.SUPPLY_DEMAND)
_DESCRIPTION = """\
Whether a session can be trusted. Green: symbols, bars and flows are loaded as a whole, final and
checked, no rule of severity error fails, and candles are made of these bars. Failed: a rule fails;
the run says which, and what to run. Missing: something is not there yet; the newest observation
says what. Its metadata shows each dataset, refused rows, and a picture of the close.
"""


def first_sessions(settings: MarketSettings) -> dict[Dataset, date]:
    """From when on each part of a session is kept."""
    today = seoul_now().date()
    return {dataset: settings.first_session(dataset, today) for dataset in PARTS}


def report_partitions(settings: MarketSettings) -> dg.DailyPartitionsDefinition:
    """Every session of which something is kept."""
    return krx_sessions(min(first_sessions(settings).values()))


def session_report_asset(settings: MarketSettings) -> dg.AssetsDefinition:
    upstream = [*(dataset.value for dataset in PARTS), *(one.name for one in AGGREGATES)]

    @dg.asset(
        name=NAME,
        description=_DESCRIPTION,
        group_name="trust",
        kinds={"timescaledb"},
        owners=["team:market-data"],
        deps=[
            dg.AssetDep(
                name,
                partition_mapping=dg.TimeWindowPartitionMapping(
                    allow_nonexistent_upstream_partitions=True
                ),
            )
            for name in upstream
        ],
        partitions_def=report_partitions(settings),
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"timescaledb", "timescaledb_maintainer", "application_database"},
        dagster_type=cast(dg.DagsterType, dg.Nothing),
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        resources = context.resources
        with Databases.held(resources.timescaledb, resources.application_database) as databases:
            yield from _report(context, databases, settings)

    return asset


def _report(
    context: dg.AssetExecutionContext, databases: Databases, settings: MarketSettings
) -> Iterator[dg.Output[None]]:
    """Report the run's sessions in order. Raises ``dagster.Failure`` with those that are wrong or
    could not be looked at, after the others have been reported."""
    from resources.trust import Standing, known_sessions, record_report

    claim_run(context)
    maintainer = context.resources.timescaledb_maintainer
    looked = seoul_now()
    try:
        known = known_sessions(databases, maintainer, krx_calendar(), first_sessions(settings))
    except DatabaseError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    failures: dict[date, str] = {}
    began = time.monotonic()
    for done, session in enumerate(sessions, start=1):
        started = time.monotonic()
        log, found = context.log.info, known.get(session)
        try:
            if found is None:
                what = "nothing of it is loaded"
                _observe(context, session, what, {})
            else:
                what = f"{found.standing}: {found.why}"
                metadata = _metadata(databases, found)
                metadata["seconds"] = round(time.monotonic() - started, 3)
                if found.standing is Standing.TRUSTED:
                    record(context, _materialization(context.asset_key, found, metadata))
                else:
                    _observe(context, session, what, metadata)
                # First the event, then the record: dying in between, it is reported again.
                record_report(databases, found, context.run.run_id, looked)
                if found.standing is Standing.WRONG:
                    failures[session], log = found.why, context.log.error
        except DatabaseError as error:
            failures[session] = what = str(error)
            log = context.log.error
        left = (time.monotonic() - began) / done * (len(sessions) - done)
        log(f"{session}: {what} [{done}/{len(sessions)} sessions, about {left:.0f} s left]")
    if failures:
        raise dg.Failure(
            f"{len(failures)} of {len(sessions)} sessions cannot be trusted:\n"
            + "\n".join(f"{session}: {why}" for session, why in failures.items()),
            allow_retries=False,
        )
    yield dg.Output(None, metadata=ALREADY_RECORDED)


def _observe(
    context: dg.AssetExecutionContext, session: date, what: str, metadata: Mapping[str, Any]
) -> None:
    record(
        context,
        dg.AssetObservation(
            context.asset_key, partition=str(session), description=what, metadata=metadata
        ),
    )


def _materialization(
    asset_key: dg.AssetKey, found: "Session", metadata: Mapping[str, Any]
) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        asset_key,
        partition=str(found.session),
        metadata=metadata,
        tags={DATA_VERSION_TAG: found.inputs},
    )


def _metadata(databases: Databases, found: "Session") -> dict[str, Any]:
    from resources.trust import refused_rows

    refused = refused_rows(databases, found.session)
    said: dict[str, Any] = {
        "standing": found.standing.value,
        "why": found.why,
        "datasets": metadata_table(
            ["dataset", "rows", "source", "simulated", "provisional", "checked", "refused"],
            [
                (
                    dataset.value,
                    part.load.rows,
                    part.commit.source,
                    part.commit.simulated,
                    part.load.provisional,
                    part.checked,
                    sum(refused.get(dataset, {}).values()),
                )
                for dataset, part in found.parts.items()
            ],
        ),
    }
    if found.findings:
        said["failed_checks"] = metadata_table(
            ["dataset", "rule", "severity", "found", "checked"],
            [
                (one.dataset.value, one.rule, one.severity.value, one.found, one.checked)
                for one in found.findings
            ],
        )
    if refused:
        said["refused_rows"] = metadata_table(
            ["dataset", "reason", "rows"],
            [
                (dataset.value, reason, rows)
                for dataset, reasons in refused.items()
                for reason, rows in reasons.items()
            ],
        )
    return said | _close(databases, found)


def _close(databases: Databases, found: "Session") -> dict[str, Any]:
    from resources.movers import close_of

    if Dataset.DAILY_BARS not in found.parts:
        return {}
    before = krx_calendar().last_session(found.session - timedelta(days=1))
    close = close_of(databases.timescaledb, found.session, before)
    if close is None:
        return {"picture": f"none: daily_bars has no close of {before} to compare with"}
    # Half a second to import.
    from resources.picture import picture

    breadth = close.breadth
    image = base64.b64encode(picture(close)).decode()
    return {
        "advancing": breadth.advancing,
        "declining": breadth.declining,
        "unchanged": breadth.unchanged,
        "halted": breadth.halted,
        "picture": dg.MetadataValue.md(
            f"![Breadth and largest movers of {found.session}](data:image/png;base64,{image})"
        ),
    }
