"""The job ``housekeeping``: Dagster forgets old runs and superseded events.

Progress is in the run's log; how much went, and how large Dagster's record was before and after, in
the metadata of its output.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from resources.calendar import seoul_now
from resources.settings import MarketSettings
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from dagster._core.definitions.job_definition import JobDefinition

JOB = "housekeeping"
_DESCRIPTION = """\
Deletes Dagster's runs that ended more than {days} days ago (`KEEP_RUNS_DAYS`), and their events.
Kept of each asset and partition are the newest materialisation, observation and failure, of each
check the newest evaluation, and the runs that these belong to. Runs that are not over are not
touched.
"""


class HousekeepingConfig(dg.Config):
    """Run config of ``housekeeping``."""

    dry_run: bool = Field(False, description="Change nothing, say what would be deleted.")


def housekeeping_job(settings: MarketSettings) -> "JobDefinition":
    """The job; it works in the instance's own storage, which is PostgreSQL."""
    description = _DESCRIPTION.format(days=settings.keep_runs_days)

    @dg.op(
        name="old_runs",
        description=description,
        out=dg.Out(dg.Nothing),
        # Every batch that was told is done; Dagster's database may have been restarting.
        retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
    )
    def prune_old_runs(context: dg.OpExecutionContext, config: HousekeepingConfig) -> None:
        from sqlalchemy.exc import DBAPIError

        from resources.housekeeping import UnknownStorageError

        claim_run(context)
        try:
            _prune(context, settings.keep_runs_days, config.dry_run)
        except UnknownStorageError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        except DBAPIError as error:
            reason = str(error.orig).partition("\n")[0]
            raise dg.Failure(
                f"Dagster's PostgreSQL: {reason}; what was told as deleted is, and the next run "
                "goes on from there"
            ) from None

    @dg.job(name=JOB, description=description)
    def housekeeping() -> None:
        prune_old_runs()

    return housekeeping


def _prune(context: dg.OpExecutionContext, days: int, dry_run: bool) -> None:
    from resources.housekeeping import prune, require_known, size, vacuum

    storage = context.instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]  # of all in SQL
        require_known(connection)
        was = size(connection)
    before = seoul_now() - timedelta(days=days)
    would = "would be " if dry_run else ""
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        pruned = prune(
            # Dagster's connections commit each statement of themselves.
            connection.execution_options(isolation_level="READ COMMITTED"),
            before,
            say=lambda what: context.log.info(f"{would}deleted: {what}"),
            dry_run=dry_run,
        )
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        if not dry_run and (pruned.runs or pruned.events or pruned.evaluations):
            vacuum(connection)
        now = size(connection)
    context.log.info(
        f"{pruned.runs:,} runs and {pruned.events:,} events from before {before:%Y-%m-%d %H:%M} "
        f"{would}deleted; {now.events:,} events are there, in {now.bytes / 2**20:,.1f} MiB"
    )
    context.add_output_metadata(
        {
            "dry_run": dry_run,
            "before": before.isoformat(timespec="minutes"),
            "runs_deleted": pruned.runs,
            "events_deleted": pruned.events,
            "evaluations_deleted": pruned.evaluations,
            "events_before": was.events,
            "events_after": now.events,
            "bytes_before": was.bytes,
            "bytes_after": now.bytes,
        }
    )
