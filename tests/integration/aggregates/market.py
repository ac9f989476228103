"""Minute bars of two venues, with everything that makes an aggregate go wrong."""

import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import pandas as pd

from resources.calendar import SEOUL
from resources.tables import MINUTE_BARS

NOW = datetime(2025, 6, 30, 12, tzinfo=SEOUL)
SESSIONS = (date(2025, 6, 12), date(2025, 6, 13), date(2025, 6, 16))

# Hours of a venue: minutes from the first to the last time.
_HOURS = {
    "KRX": (("09:00", "15:19"), ("15:30", "15:30")),
    # Before 09:00 in Seoul it is still the day before in UTC.
    "NXT": (("08:00", "08:49"), ("09:00", "15:19"), ("15:40", "19:59")),
}
_VENUES = {
    "005930": ("KRX", "NXT"),
    "000660": ("KRX", "NXT"),
    "0126Z0": ("KRX",),
    "00088K": ("NXT",),
}


def minutes(session: date, *, seed: int = 0) -> pd.DataFrame:
    """Canonical minute bars of a session: gaps, missing trading values (of single bars, of whole
    buckets, of all of a symbol), and symbols with a single bar."""
    chance = random.Random(f"{session} {seed}")  # noqa: S311 - no secret
    rows = [
        _bar(at, symbol, venue, chance)
        for symbol, venues in _VENUES.items()
        for venue in venues
        for first, last in _HOURS[venue]
        for at in _minutes(session, first, last)
        if at.minute % 17 or first == last
    ]
    for symbol, venue, at in (("111111", "KRX", "15:30"), ("222222", "NXT", "08:00")):
        moment = datetime.combine(session, time.fromisoformat(at), SEOUL)
        rows.append(_bar(moment, symbol, venue, chance))
    frame = pd.DataFrame(rows, columns=list(MINUTE_BARS.column_names))
    frame.loc[frame["symbol"] == "0126Z0", "trading_value"] = None
    frame.loc[frame["time"].dt.hour == 10, "trading_value"] = None
    return frame


def _minutes(session: date, first: str, last: str) -> Sequence[datetime]:
    start = datetime.combine(session, time.fromisoformat(first), SEOUL)
    end = datetime.combine(session, time.fromisoformat(last), SEOUL)
    return [start + timedelta(minutes=n) for n in range((end - start) // timedelta(minutes=1) + 1)]


def _bar(at: datetime, symbol: str, venue: str, chance: random.Random) -> list[object]:
    low, *inner, high = sorted(chance.randint(100_000, 130_000) / 100 for _ in range(4))
    chance.shuffle(inner)
    volume = chance.randint(0, 10_000)
    value = None if chance.random() < 0.2 else round(volume * low)
    return [pd.Timestamp(at), symbol, venue, inner[0], high, low, inner[1], volume, value]


class Market:
    """A source of minute bars that a test gives it."""

    name = "market"
    simulated = False

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def minute_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        return self.frame if symbols is None else self.frame[self.frame["symbol"].isin(symbols)]
