"""1-minute bars that add up to the daily bar."""

from dataclasses import dataclass

import numpy as np

from resources.sources.simulated.prices import DailyBars, on_tick
from resources.sources.simulated.randomness import Integers, Purpose, uniform

_CONTINUOUS = 0.92
_AUCTION = 0.05
"""Of a day's volume; the rest is off-hours and block trades, which have no minute."""


@dataclass(frozen=True)
class MinuteBars:
    """Bars in which something traded: ``place`` and ``minute`` (0 is the first of the session, the
    highest is the closing auction) say whose and when. Prices in KRW, volumes in shares."""

    place: Integers
    minute: Integers
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers


def minute_bars(bars: DailyBars, minutes: int, wanted: Integers) -> MinuteBars:
    """Divide a session of ``minutes`` of continuous trading and a closing auction, for the places
    ``wanted`` that were not halted.

    The first open, the highest high, the lowest low and the last close are the day's; volumes
    add up to a little less than the day's.
    """
    places = wanted[~bars.halted[wanted]]
    # Drawn for all places, so that a place's numbers do not depend on which are wanted.
    chances = uniform(
        bars.listing.seed, Purpose.MINUTES, bars.listing.day, 2, len(bars.halted), minutes
    )[:, places]
    opening, close = bars.open[places, None], bars.close[places, None]
    highest, lowest = bars.high[places, None], bars.low[places, None]

    # A random walk from the open to the close, as wide as the day.
    walk = np.cumsum(chances[0] - 0.5, axis=1)
    done = np.linspace(1 / minutes, 1, minutes)
    walk -= done * walk[:, -1:]
    width = (highest - lowest) / np.maximum(np.ptp(walk, axis=1, keepdims=True), 1e-9)
    path = opening + (close - opening) * done + walk * width
    # What leaves the day's range comes back into it, as if thrown back by its ends.
    beyond = np.abs(path - lowest) % np.maximum(2 * (highest - lowest), 1)
    path = lowest + np.minimum(beyond, 2 * (highest - lowest) - beyond)
    last = np.clip(on_tick(path), lowest, highest)
    first = np.hstack([opening, last[:, :-1]])
    high, low = np.maximum(first, last), np.minimum(first, last)
    rows = np.arange(len(places))
    top, bottom = high.argmax(axis=1), low.argmin(axis=1)
    high[rows, top] = highest[:, 0]
    low[rows, bottom] = lowest[:, 0]

    # More is traded at the open and towards the close.
    shape = 0.5 + 2 * (done - 0.45) ** 2 / 0.3
    weight = shape * chances[1] ** 2
    share = _CONTINUOUS * bars.volume[places, None] / weight.sum(axis=1, keepdims=True)
    volume = (weight * share).astype(np.int64)
    for column in (np.zeros_like(top), top, bottom):
        volume[rows, column] = np.maximum(volume[rows, column], 1)

    traded, minute = np.nonzero(volume)
    auction = np.maximum((_AUCTION * bars.volume[places]).astype(np.int64), 1)

    def both(continuous: Integers, at_auction: Integers) -> Integers:
        return np.concatenate([continuous[traded, minute], at_auction])

    return MinuteBars(
        place=np.concatenate([places[traded], places]),
        minute=np.concatenate([minute, np.full(len(places), minutes)]),
        open=both(first, close[:, 0]),
        high=both(high, close[:, 0]),
        low=both(low, close[:, 0]),
        close=both(last, close[:, 0]),
        volume=both(volume, auction),
    )
