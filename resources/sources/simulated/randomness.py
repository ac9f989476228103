"""Random numbers by address: the same seed and key give the same numbers, in whatever order."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Purpose(IntEnum):
    """What numbers are for; the first part of every key."""

    LIFE = 1
    BASE_PRICE = 2
    LEVEL = 3
    HALT = 4
    DAY = 5
    MINUTES = 6
    FLOWS = 7
    COMPANY = 8
    HOLDINGS = 9


def uniform(seed: int, purpose: Purpose, key: int, *shape: int) -> Floats:
    """Numbers in [0, 1) of ``shape`` for ``key`` (not negative).

    Only the plain uniform stream of a counter-based generator is used: numpy promises that it
    stays the same, which it does not for its distributions.
    """
    sequence = np.random.SeedSequence([seed, int(purpose), key])
    return np.random.Generator(np.random.Philox(sequence)).random(shape)
