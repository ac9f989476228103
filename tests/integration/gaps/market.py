"""A small simulated market, whose answers a test may change."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import cache

import pandas as pd

from resources.calendar import SEOUL, krx_calendar
from resources.sources.simulated.source import SimulatedSource

SESSIONS = [
    session
    for session in krx_calendar().sessions
    if date(2025, 1, 2) <= session <= date(2025, 1, 10)
]
FIRST = SESSIONS[0]
NOW = datetime(2025, 1, 10, 20, tzinfo=SEOUL)
"""After the last of them."""

Change = Callable[[pd.DataFrame], pd.DataFrame]


@cache
def frame_of(dataset: str, session: date) -> pd.DataFrame:
    """What the market has; it is not to be changed."""
    source = SimulatedSource(krx_calendar(), lambda: NOW, size=12)
    return getattr(source, dataset)(session, None)


class Changed:
    """12 symbols; ``changes`` are made to the frames of the datasets they are called by."""

    name = "market"
    simulated = False

    def __init__(self, **changes: Change) -> None:
        self._changes = changes

    def _ask(self, dataset: str, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        frame = frame_of(dataset, session).copy()
        if symbols is not None:
            frame = frame[frame["symbol"].isin(symbols)]
        return self._changes.get(dataset, lambda same: same)(frame)

    def symbols(self, session, symbols):
        return self._ask("symbols", session, symbols)

    def daily_bars(self, session, symbols):
        return self._ask("daily_bars", session, symbols)

    def minute_bars(self, session, symbols):
        return self._ask("minute_bars", session, symbols)

    def supply_demand(self, session, symbols):
        return self._ask("supply_demand", session, symbols)

    def market_flows(self, session, symbols):
        return self._ask("market_flows", session, symbols)

    def companies(self, session, symbols):
        return self._ask("companies", session, symbols)

    def etf_constituents(self, session, symbols):
        return self._ask("etf_constituents", session, symbols)
