"""Partitions: one per KRX session, from each dataset's first session on.

A partition exists from the day before its session at the latest; whether a session may be loaded
yet is decided when it is asked for (``resources.standing``).
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from functools import cache

import dagster as dg

from resources.calendar import SEOUL, krx_calendar, seoul_now
from resources.settings import MarketSettings
from resources.tables import Dataset


@cache
def krx_sessions(first: date) -> dg.DailyPartitionsDefinition:
    """KRX sessions from ``first`` to the one under way or, between sessions, the next one."""
    calendar = krx_calendar()
    holidays = calendar.closed_weekdays(first, calendar.sessions[-1])
    return dg.DailyPartitionsDefinition(
        start_date=str(first),
        timezone=str(SEOUL),
        end_offset=1,
        exclusions=[
            "0 0 * * 6",
            "0 0 * * 0",
            *(datetime.combine(day, time.min) for day in holidays),
        ],
    )


def session_partitions(dataset: Dataset, settings: MarketSettings) -> dg.DailyPartitionsDefinition:
    """The partitions of ``dataset``. Datasets with the same first session share them, and can
    then be launched together."""
    return krx_sessions(settings.first_session(dataset, seoul_now().date()))


def from_symbols() -> dg.AssetDep:
    """A dependency on the members of the same session, where ``symbols`` reaches back that far."""
    return dg.AssetDep(
        Dataset.SYMBOLS.value,
        partition_mapping=dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True),
    )


def contiguous(sessions: Iterable[date]) -> list[tuple[date, date]]:
    """The first and last session of each stretch without a gap; a stretch can be one run."""
    position = {session: n for n, session in enumerate(krx_calendar().sessions)}
    stretches: list[tuple[date, date]] = []
    for session in sorted(sessions):
        # A day that is no session stands alone.
        if stretches and position.get(session, 0) - 1 == position.get(stretches[-1][1]):
            stretches[-1] = (stretches[-1][0], session)
        else:
            stretches.append((session, session))
    return stretches


def named(sessions: Iterable[date]) -> str:
    """Sessions for people: stretches by their ends."""
    return ", ".join(
        str(first) if first == last else f"{first} to {last}"
        for first, last in contiguous(sessions)
    )
