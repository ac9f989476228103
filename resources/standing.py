"""How far a session is: whether it has begun, and whether a dataset's rows of it are final."""

from datetime import date, datetime, time, timedelta
from enum import Enum

from resources.calendar import SEOUL, KrxCalendar
from resources.tables import Dataset

_REGULAR_CLOSE = time(15, 30)


class Standing(Enum):
    """How far a session is, as seen by one dataset."""

    NOT_BEGUN = "has not begun"
    NOT_FINAL = "is not final yet"
    FINAL = "is final"


def standing(calendar: KrxCalendar, session: date, final_time: time, now: datetime) -> Standing:
    """``final_time`` holds for sessions that close at 15:30 and moves with later closes; ``now``
    has a zone."""
    if now < calendar.opens_at(session):
        return Standing.NOT_BEGUN
    final = moved_with_close(calendar, session, final_time)
    return Standing.FINAL if now >= final else Standing.NOT_FINAL


def may_load(dataset: Dataset, standing_now: Standing) -> bool:
    """Only minute bars are worth having before they are final (and are marked provisional)."""
    return standing_now is Standing.FINAL or (
        standing_now is Standing.NOT_FINAL and dataset is Dataset.MINUTE_BARS
    )


def moved_with_close(calendar: KrxCalendar, session: date, regular: time) -> datetime:
    """A time that holds for sessions that close at 15:30, on ``session``: later by as much as its
    close is. Raises KeyError if it is no session."""
    delay = calendar.closes_at(session) - datetime.combine(session, _REGULAR_CLOSE, SEOUL)
    return datetime.combine(session, regular, SEOUL) + max(delay, timedelta(0))
