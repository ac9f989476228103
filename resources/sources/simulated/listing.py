"""Who is listed: a fixed number of places, each held by one company after another."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from resources.sources.simulated.randomness import Flags, Integers, Purpose, uniform

PLACES = 2_700
EPOCH = date(2000, 1, 3)
"""Day 0; days count Mondays to Fridays, so that a corrected holiday moves nothing."""

_MARKETS = np.array(["KOSPI", "KOSDAQ", "KONEX"])
_LETTERS = "ACDFGHJKLMNPQRSTUVWXYZ"
_HALT_SPAN = 5
_HALTED_SHARE = 0.037
_NO_HALT_AFTER_LISTING = 20


def day_number(day: date) -> int:
    """Weekdays since the epoch."""
    return int(np.busday_count(EPOCH, day))


def day_of(number: int) -> date:
    """The weekday with that number."""
    found: date = np.busday_offset(EPOCH, number, roll="forward").astype(object)
    return found


@dataclass(frozen=True)
class Listing:
    """The companies in all places on one day; arrays have one entry per place."""

    seed: int
    day: int

    @cached_property
    def _life(self) -> Integers:
        """How many days a place's companies stay; three in five outlive us all."""
        chance, length = uniform(self.seed, Purpose.LIFE, 0, 2, PLACES)
        return np.where(chance < 0.6, 40_000, 1_250 + 3_750 * length).astype(np.int64)

    @cached_property
    def _phase(self) -> Integers:
        return (uniform(self.seed, Purpose.LIFE, 1, PLACES) * self._life).astype(np.int64)

    @cached_property
    def generation(self) -> Integers:
        """Which of its companies holds the place."""
        return (self.day + self._phase) // self._life

    @cached_property
    def first_day(self) -> Integers:
        """Day number of the listing; below 0 before the epoch."""
        return self.generation * self._life - self._phase

    @cached_property
    def preferred(self) -> Flags:
        flags: Flags = np.arange(PLACES) % 30 == 11
        return flags

    @cached_property
    def etf(self) -> Flags:
        """Whether an ETF holds the place; all of them are on KOSPI."""
        flags: Flags = np.arange(PLACES) % 15 == 6
        return flags

    @cached_property
    def kinds(self) -> list[str]:
        kinds = np.where(self.etf, "etf", np.where(self.preferred, "preferred", "common"))
        named: list[str] = kinds.tolist()
        return named

    @cached_property
    def symbols(self) -> list[str]:
        """KRX short codes, some with letters, never used twice."""
        return [
            _symbol(place, int(generation), bool(preferred))
            for place, (generation, preferred) in enumerate(
                zip(self.generation, self.preferred, strict=True)
            )
        ]

    @cached_property
    def names(self) -> list[str]:
        """Names that say that the company is simulated."""
        return [f"모의 {symbol}" for symbol in self.symbols]

    @cached_property
    def markets(self) -> list[str]:
        places = np.arange(PLACES)
        kind = np.where(places % 30 == 29, 2, np.where(places % 3 == 0, 0, 1))
        markets: list[str] = _MARKETS[kind].tolist()
        return markets

    @cached_property
    def halted(self) -> Flags:
        """Whether trading is halted; halts last up to five days."""
        return self._halted_in(self.day // _HALT_SPAN)

    def last_traded_day(self) -> Integers:
        """Day number of the last day on which each place could trade, today included."""
        last = np.full(PLACES, self.day)
        span = self.day // _HALT_SPAN
        halted = self.halted
        while halted.any():
            last[halted] = span * _HALT_SPAN - 1
            span -= 1
            halted = halted & self._halted_in(span)
        return last

    def _halted_in(self, span: int) -> Flags:
        chance = uniform(self.seed, Purpose.HALT, span, PLACES)
        settled = span * _HALT_SPAN - self.first_day >= _NO_HALT_AFTER_LISTING
        return (chance < _HALTED_SHARE) & settled


def _symbol(place: int, generation: int, preferred: bool) -> str:
    if place % 25 == 7:
        return f"{place // 25 + 108 * generation:04d}{_LETTERS[place % len(_LETTERS)]}0"
    return f"{place + PLACES * generation:05d}{5 if preferred else 0}"
