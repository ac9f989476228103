"""Who bought: net amounts of the four investor types, which sum to zero, by place and by market."""

import numpy as np

from resources.sources.simulated.prices import DailyBars
from resources.sources.simulated.randomness import Integers, Purpose, uniform
from resources.tables import FLOW_MARKETS


def net_amounts(bars: DailyBars) -> dict[str, Integers]:
    """KRW net bought by each type, by the table's column names; all places."""
    chances = uniform(bars.listing.seed, Purpose.FLOWS, bars.listing.day, 3, len(bars.halted))
    institution, foreign, other = (
        (share * bars.trading_value * (2 * chance - 1)).astype(np.int64)
        for share, chance in zip((0.15, 0.2, 0.02), chances, strict=True)
    )
    return {
        "institution_amount": institution,
        "foreign_amount": foreign,
        "individual_amount": -(institution + foreign + other),
        "other_corporation_amount": other,
    }


def market_amounts(bars: DailyBars, places: Integers) -> tuple[list[str], dict[str, Integers]]:
    """The markets that ``places`` are in, and KRW net bought by each type in each of them. Of
    KONEX there are no sums, as KRX has none, and ETFs are in none."""
    places = places[~bars.listing.etf[places]]
    of_place = np.array(bars.listing.markets)[places]
    markets = [market for market in FLOW_MARKETS if (of_place == market).any()]
    return markets, {
        name: np.array([amount[places][of_place == market].sum() for market in markets])
        for name, amount in net_amounts(bars).items()
    }
