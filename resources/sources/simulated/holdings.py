"""What a creation unit of each ETF holds: shares of companies in places before it, and cash."""

from dataclasses import dataclass

import numpy as np

from resources.sources.simulated.prices import DailyBars
from resources.sources.simulated.randomness import Integers, Purpose, uniform

_REACH = 24
CASH = "KRD010010001"
CASH_NAME = "원화예금"


@dataclass(frozen=True)
class Holdings:
    """One ETF's constituents: ``places`` and the ``shares`` of each; ``value`` in KRW and
    ``weight`` in hundredths of a percent (all together 10,000) have one more entry, for cash."""

    places: Integers
    shares: Integers
    value: Integers
    weight: Integers


def holdings(bars: DailyBars, place: int) -> Holdings:
    """What the ETF at ``place`` holds at the close. Constituents stand before it, so that a smaller
    market, which is the beginning of the whole one, has all of them."""
    before = np.arange(max(place - _REACH, 0), place)
    places = before[~bars.listing.etf[before]]
    chances = uniform(bars.listing.seed, Purpose.HOLDINGS, place, _REACH + 1)
    shares = 10 + (990 * chances[: len(places)] ** 3).astype(np.int64)
    stock = shares * bars.close[places]
    cash = int(stock.sum() * 0.01 * chances[-1]) + 1
    value = np.append(stock, cash)
    return Holdings(places, shares, value, _hundredths(value))


def _hundredths(value: Integers) -> Integers:
    """Each value's share of all in hundredths of a percent; what rounding down leaves goes to those
    that lost most."""
    exact = value * (10_000 / value.sum())
    weight: Integers = np.floor(exact).astype(np.int64)
    left = 10_000 - int(weight.sum())
    weight[np.argsort(weight - exact, kind="stable")[:left]] += 1
    return weight
