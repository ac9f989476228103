"""What a session that is ready to be written holds on to, while the next one is fetched."""

import gc
import weakref
from datetime import date

import numpy as np
import pandas as pd
import pytest

from resources.ingestion import prepare
from resources.loading import Attempt
from resources.tables import DAILY_BARS
from tests.unit.good_rows import NOW, SESSION

SIZE = 100


class Dump:
    """All numbers in one block, as pandas reads them from a file."""

    name = "dump"
    simulated = True

    def __init__(self, bad: int) -> None:
        self._bad = bad

    def daily_bars(self, session: date, symbols: object) -> pd.DataFrame:
        names = [c for c in DAILY_BARS.column_names if c not in DAILY_BARS.key]
        block = np.full((len(names), SIZE), 100, dtype=np.int64)
        block[names.index("volume"), : self._bad] = -1
        self.block = weakref.ref(block)
        frame = pd.DataFrame(block.T, columns=names, copy=False)
        frame["date"] = session
        frame["symbol"] = [f"{n:06d}" for n in range(SIZE)]
        return frame


@pytest.mark.parametrize("bad", [0, 3])
def test_nothing_of_what_the_source_gave_outlives_it(bad):
    source = Dump(bad)
    attempt = Attempt(DAILY_BARS, SESSION, None, "run", "dump", True, False, NOW)
    prepared = prepare(source, attempt, source_timeout=30, now=NOW)
    assert prepared.error is None
    assert prepared.rows is not None
    assert prepared.rows.num_rows == SIZE - bad
    assert len(prepared.refused) == bad
    gc.collect()
    assert source.block() is None
