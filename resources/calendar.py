"""KRX sessions and their hours: exchange_calendars' XKRX, corrected by ``krx_sessions.toml``.

Building XKRX takes three seconds, and every command loads the calendar, so the result is kept in
the user's cache directory under a name made of everything it depends on.
"""

import hashlib
import json
import logging
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

SEOUL = ZoneInfo("Asia/Seoul")
FIRST_DAY = date(2005, 1, 1)
"""Sessions are verified from here on."""

_OVERRIDES = Path(__file__).with_name("krx_sessions.toml")

Hours = tuple[time, time]


@dataclass(frozen=True)
class KrxCalendar:
    """Sessions from ``FIRST_DAY`` to the end of next year, with opening and closing times in
    Asia/Seoul. Days outside that span are not sessions."""

    hours: Mapping[date, Hours]
    holidays: Mapping[date, str]
    """Names of closed days, where they have one."""

    @cached_property
    def sessions(self) -> tuple[date, ...]:
        """All sessions, in order."""
        return tuple(sorted(self.hours))

    def is_session(self, day: date) -> bool:
        return day in self.hours

    def next_session(self, day: date) -> date:
        """The first session on or after ``day``. Raises ValueError beyond the last one."""
        position = bisect_left(self.sessions, day)
        if position == len(self.sessions):
            raise ValueError(f"no KRX session is known on or after {day}")
        return self.sessions[position]

    def last_session(self, day: date) -> date:
        """The last session on or before ``day``. Raises ValueError before the first one."""
        position = bisect_right(self.sessions, day)
        if position == 0:
            raise ValueError(f"no KRX session is known on or before {day}")
        return self.sessions[position - 1]

    def open(self, session: date) -> time:
        """When the regular session opens, Asia/Seoul. Raises KeyError if it is no session."""
        return self.hours[session][0]

    def close(self, session: date) -> time:
        """When the regular session closes (also the start of its closing-auction bar),
        Asia/Seoul. Raises KeyError if it is no session."""
        return self.hours[session][1]

    def opens_at(self, session: date) -> datetime:
        return datetime.combine(session, self.open(session), SEOUL)

    def closes_at(self, session: date) -> datetime:
        return datetime.combine(session, self.close(session), SEOUL)

    def closed_because(self, day: date) -> str:
        """Why ``day`` is no session: the weekend, the holiday's name, or that it has none."""
        return f"{day:%A}" if day.weekday() > 4 else self.holidays.get(day, "a closed day")

    def closed_weekdays(self, first: date, last: date) -> list[date]:
        """Mondays to Fridays without a session, ``first`` to ``last`` inclusive."""
        days = (date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1))
        return [day for day in days if day.weekday() < 5 and day not in self.hours]


def seoul_now() -> datetime:
    """The time, in Asia/Seoul."""
    return datetime.now(SEOUL)


@lru_cache
def krx_calendar() -> KrxCalendar:
    """The calendar of this process, from the cache where it is current."""
    import platformdirs

    last_day = date(seoul_now().year + 1, 12, 31)
    overrides = _OVERRIDES.read_bytes()
    identity = "|".join(
        (version("exchange_calendars"), str(FIRST_DAY), str(last_day), str(overrides))
    )
    cache = (
        platformdirs.user_cache_path("stock-assets")
        / f"krx-sessions-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
    )
    try:
        calendar = _from_json(cache.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        calendar = _build(last_day, tomllib.loads(overrides.decode()))
        _keep(cache, calendar)
    return calendar


def _build(last_day: date, overrides: Mapping[str, Any]) -> KrxCalendar:
    import exchange_calendars

    xkrx = exchange_calendars.get_calendar("XKRX", start=str(FIRST_DAY), end=str(last_day))
    schedule = xkrx.schedule
    hours: dict[date, Hours] = {
        day.date(): (opening.time(), closing.time())
        for day, opening, closing in zip(
            schedule.index,
            schedule["open"].dt.tz_convert(SEOUL),
            schedule["close"].dt.tz_convert(SEOUL),
            strict=True,
        )
    }
    named = xkrx.regular_holidays.holidays(str(FIRST_DAY), str(last_day), return_name=True)
    holidays = {day.date(): str(name) for day, name in named.items()}
    for text, name in overrides["closed"].items():
        day = date.fromisoformat(text)
        hours.pop(day, None)
        holidays[day] = name
    for rule in overrides["hours"]:
        for day in rule["sessions"]:
            if day in hours:
                hours[day] = (rule["open"], rule["close"])
    return KrxCalendar(hours, holidays)


def _from_json(text: str) -> KrxCalendar:
    content = json.loads(text)
    return KrxCalendar(
        {
            date.fromisoformat(day): (time.fromisoformat(opening), time.fromisoformat(closing))
            for day, opening, closing in content["hours"]
        },
        {date.fromisoformat(day): name for day, name in content["holidays"].items()},
    )


def _keep(cache: Path, calendar: KrxCalendar) -> None:
    content = {
        "hours": [
            (str(day), str(first), str(last)) for day, (first, last) in calendar.hours.items()
        ],
        "holidays": {str(day): name for day, name in calendar.holidays.items()},
    }
    partial = cache.with_suffix(f".{id(content)}.partial")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content))
        partial.replace(cache)
    except OSError as error:
        # A container with a read-only home still works, three seconds slower.
        logging.getLogger(__name__).warning("calendar not cached: %s", error)
