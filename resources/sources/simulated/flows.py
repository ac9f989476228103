"""Who bought: net amounts of the four investor types, which sum to zero."""

import numpy as np

from resources.sources.simulated.prices import DailyBars
from resources.sources.simulated.randomness import Integers, Purpose, uniform


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
