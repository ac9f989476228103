"""Schedules: each dataset is collected once its session is final, minute bars also during it.

A collection asks at its time and an hour later: the second tick serves sessions that close late
(exam days) and ticks that the daemon slept through. A run's key is its session, so that the
second tick is harmless where the first one did its work.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import TYPE_CHECKING

import dagster as dg

from resources.calendar import SEOUL, krx_calendar
from resources.settings import MarketSettings
from resources.standing import Standing, standing
from resources.tables import Dataset

if TYPE_CHECKING:
    from dagster._core.definitions.job_definition import JobDefinition
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )


def collection_jobs(
    assets: Iterable[dg.AssetsDefinition],
) -> dict[Dataset, "UnresolvedAssetJobDefinition"]:
    """A job per dataset, which loads a session or a range of them."""
    return {
        Dataset(asset.key.to_user_string()): dg.define_asset_job(
            f"{asset.key.to_user_string()}_collection",
            selection=[asset],
            description="One session, or a range of them.",
        )
        for asset in assets
    }


def session_schedules(
    jobs: Mapping[Dataset, "UnresolvedAssetJobDefinition"], settings: MarketSettings
) -> list[dg.ScheduleDefinition]:
    """A collection of every dataset, and the intraday collection of minute bars."""
    collections = [_collection(dataset, job, settings) for dataset, job in jobs.items()]
    return [*collections, _intraday(jobs[Dataset.MINUTE_BARS], settings)]


def _collection(
    dataset: Dataset, job: "UnresolvedAssetJobDefinition", settings: MarketSettings
) -> dg.ScheduleDefinition:
    at = settings.collection_time(dataset)
    on = settings.collects_unasked

    @dg.schedule(
        name=f"{dataset}_collection",
        job=job,
        cron_schedule=[f"{at.minute} {at.hour} * * *", f"{at.minute} {(at.hour + 1) % 24} * * *"],
        execution_timezone=str(SEOUL),
        default_status=dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED,
        description=f"Collects today's {dataset} at {at:%H:%M} in Seoul, on KRX sessions.",
    )
    def collect(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = _tick(context)
        session = now.date()
        if not krx_calendar().is_session(session):
            return _closed(now)
        stands = standing(krx_calendar(), session, settings.final_time(dataset), now)
        if stands is not Standing.FINAL:
            return dg.SkipReason(f"{session} {stands.value}; the next tick asks again.")
        return dg.RunRequest(run_key=f"{dataset} {session}", partition_key=str(session))

    return collect


def _intraday(
    job: "UnresolvedAssetJobDefinition", settings: MarketSettings
) -> dg.ScheduleDefinition:
    every = settings.intraday_interval

    @dg.schedule(
        name="minute_bars_intraday",
        job=job,
        cron_schedule=f"*/{every} * * * *",
        execution_timezone=str(SEOUL),
        description=(
            f"Loads today's minute bars so far, every {every} minutes of the session, as "
            "provisional; the collection after the close makes them final."
        ),
    )
    def collect_so_far(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = _tick(context)
        session = now.date()
        if not krx_calendar().is_session(session):
            return _closed(now)
        opens, closes = krx_calendar().opens_at(session), krx_calendar().closes_at(session)
        if not opens < now <= closes:
            return dg.SkipReason(f"KRX trades from {opens:%H:%M} to {closes:%H:%M} on {session}.")
        return dg.RunRequest(run_key=f"{now:%Y-%m-%d %H:%M}", partition_key=str(session))

    return collect_so_far


def _tick(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time.astimezone(SEOUL)


def _closed(now: datetime) -> dg.SkipReason:
    day = now.date()
    return dg.SkipReason(f"KRX is closed on {day}: {krx_calendar().closed_because(day)}.")


def maintenance_schedule(
    assets: list[dg.AssetsDefinition], settings: MarketSettings
) -> dg.ScheduleDefinition:
    """Maintenance after every session, on by default: what it may drop must be configured."""
    job = dg.define_asset_job(
        "maintenance", selection=assets, description="Compression, then retention."
    )
    at = settings.maintenance_time
    return _daily("maintenance", job, at, "Compresses and drops old chunks")


def gaps_schedule(asset: dg.AssetsDefinition, settings: MarketSettings) -> dg.ScheduleDefinition:
    """The look for gaps after each session's collections, on by default: it only reads."""
    job = dg.define_asset_job(
        "gaps_search", selection=[asset], description="What is missing or broken right now."
    )
    return _daily("gaps", job, settings.gaps_time, "Looks for gaps")


def _daily(
    name: str,
    job: "UnresolvedAssetJobDefinition | JobDefinition",
    at: time,
    does: str,
    *,
    every_day: bool = False,
) -> dg.ScheduleDefinition:
    """Once a day, on sessions only unless it is for every day."""
    days = "every night" if every_day else "on KRX sessions"

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=f"{at.minute} {at.hour} * * *",
        execution_timezone=str(SEOUL),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"{does} at {at:%H:%M} in Seoul, {days}.",
    )
    def run(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = _tick(context)
        if not (every_day or krx_calendar().is_session(now.date())):
            return _closed(now)
        return dg.RunRequest(run_key=f"{name} {now.date()}")

    return run


def stats_schedule(asset: dg.AssetsDefinition, settings: MarketSettings) -> dg.ScheduleDefinition:
    """The measurements, day and night, on by default: they only read."""
    every = settings.stats_interval
    return dg.ScheduleDefinition(
        name="timescale_stats",
        job=dg.define_asset_job(
            "timescale_stats_measuring", selection=[asset], description="Measures everything once."
        ),
        cron_schedule=f"*/{every} * * * *",
        execution_timezone=str(SEOUL),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Measures servers, poolers and the machine every {every} minutes.",
    )


def housekeeping_schedule(job: "JobDefinition", settings: MarketSettings) -> dg.ScheduleDefinition:
    """Dagster forgets every night, on by default: runs pile up on holidays, too."""
    at = settings.housekeeping_time
    return _daily("housekeeping", job, at, "Forgets old runs and superseded events", every_day=True)
