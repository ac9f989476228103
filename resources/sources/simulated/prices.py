"""Daily bars: closes that any session can be asked for, and the day built around them."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from resources.calendar import KrxCalendar
from resources.sources.simulated.listing import PLACES, Listing, day_number, day_of
from resources.sources.simulated.randomness import Flags, Floats, Integers, Purpose, uniform

# A price's logarithm is a sum of noises, each linear between random points that lie `period` days
# apart. Over the longest stretch without a close (a halt around the longest holidays, 13 days)
# their sum moves by less than log(1.3), so no close leaves its price limits.
_NOISE = {1: 0.015, 2: 0.012, 4: 0.018, 8: 0.02, 16: 0.02, 64: 0.08, 256: 0.25, 1024: 0.5}

# KRX since 2023-01-25: the tick below each price.
_TICK_BELOW = np.array([2_000, 5_000, 20_000, 50_000, 200_000, 500_000])
_TICKS = np.array([1, 5, 10, 50, 100, 500, 1_000])
_LIMIT_PERCENT, _KONEX_LIMIT_PERCENT = 30, 15
_TOUCHED = 0.001
"""Share of symbols that touch the upper limit of a session, and of those that touch the lower."""


@dataclass(frozen=True)
class DailyBars:
    """One session of all places: KRW as traded, volumes in shares. Halted places have open, high,
    low, volume and value 0 and their last close."""

    listing: Listing
    halted: Flags
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    trading_value: Integers
    listed_shares: Integers


def tick(price: Any) -> Integers:
    """The tick at a price."""
    sizes: Integers = _TICKS[np.searchsorted(_TICK_BELOW, price, side="right")]
    return sizes


def on_tick(price: Floats) -> Integers:
    """The nearest price a tick allows."""
    size = tick(price)
    return (np.round(price / size) * size).astype(np.int64)


def limits(
    previous: Integers, percent: Integers | int = _LIMIT_PERCENT
) -> tuple[Integers, Integers]:
    """Lowest and highest price of a day after the close ``previous``, on ticks: the move is cut to
    the tick of ``previous``, the highest price to its own."""
    size = tick(previous)
    move = previous * percent // 100 // size * size
    highest = previous + move
    return previous - move, highest // tick(highest) * tick(highest)


def daily_bars(seed: int, session: date, calendar: KrxCalendar) -> DailyBars:
    """All places' bars of ``session``."""
    listing = Listing(seed, day_number(session))
    close = _closes(listing, calendar)
    previous = _previous_closes(listing, close, calendar)
    on_konex = np.array(listing.markets) == "KONEX"
    percent = np.where(on_konex, _KONEX_LIMIT_PERCENT, _LIMIT_PERCENT)
    lowest, highest = limits(previous, percent)
    chances = uniform(seed, Purpose.DAY, listing.day, 6, PLACES)
    opening = np.clip(on_tick(previous * (0.99 + 0.02 * chances[0])), lowest, highest)
    top = np.maximum(opening, close)
    bottom = np.minimum(opening, close)
    high = np.clip(on_tick(top * (1 + 0.02 * chances[1])), top, np.maximum(highest, top))
    low = np.clip(on_tick(bottom * (1 - 0.02 * chances[2])), np.minimum(lowest, bottom), bottom)
    # Closes stay away from the limits: the next day must be within reach without knowing this one.
    high = np.where(chances[5] < _TOUCHED, np.maximum(highest, top), high)
    low = np.where(chances[5] > 1 - _TOUCHED, np.minimum(lowest, bottom), low)
    liquidity = uniform(seed, Purpose.BASE_PRICE, 10_000, PLACES)
    volume = (10 ** (4.6 + 2.2 * liquidity) * (0.4 + 1.2 * chances[3] ** 2)).astype(np.int64)
    value = volume * (low + (high - low) * chances[4])
    traded = ~listing.halted
    return DailyBars(
        listing=listing,
        halted=listing.halted,
        open=opening * traded,
        high=high * traded,
        low=low * traded,
        close=close,
        volume=volume * traded,
        trading_value=value.astype(np.int64) * traded,
        listed_shares=(10 ** (6.5 + 2 * liquidity)).astype(np.int64),
    )


def _closes(listing: Listing, calendar: KrxCalendar) -> Integers:
    """Each place's close; while halted, that of the last session it traded in."""
    close = np.zeros(PLACES, dtype=np.int64)
    last = listing.last_traded_day()
    for day in np.unique(last).tolist():
        places = last == day
        close[places] = _prices(listing, _last_session(day, calendar))[places]
    return close


def _last_session(day: int, calendar: KrxCalendar) -> int:
    """The last session on or before a day; before the calendar begins, every weekday is one."""
    known = day_of(day) >= calendar.sessions[0]
    return day_number(calendar.last_session(day_of(day))) if known else day


def _previous_closes(listing: Listing, close: Integers, calendar: KrxCalendar) -> Integers:
    """Yesterday's closes; on a company's first day a price from which it came within limits."""
    before = Listing(listing.seed, _last_session(listing.day - 1, calendar))
    same = before.generation == listing.generation
    return np.where(same, _closes(before, calendar), on_tick(close / 1.1))


def _prices(listing: Listing, day: int) -> Integers:
    level = np.zeros(PLACES)
    for period, size in _NOISE.items():
        point, between = divmod(day, period)
        # The key holds both: points of one period, and the periods apart.
        before, after = (
            uniform(listing.seed, Purpose.LEVEL, (point + step) * 2048 + period, PLACES)
            for step in (0, 1)
        )
        weight = between / period
        level += size * (2 * (before * (1 - weight) + after * weight) - 1)
    base = np.zeros(PLACES)
    for generation in np.unique(listing.generation).tolist():
        places = listing.generation == generation
        chance = uniform(listing.seed, Purpose.BASE_PRICE, generation, PLACES)
        base[places] = (1_000 * 200**chance)[places]
    return on_tick(base * np.exp(level))
