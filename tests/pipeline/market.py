"""A market of three symbols, whose sessions fail as they are told to."""

from collections.abc import Callable, Sequence
from datetime import date

import pandas as pd

from resources.calendar import krx_calendar
from resources.settings import market_settings
from resources.sources import SourceError
from resources.tables import DAILY_BARS, MARKET_FLOWS, MINUTE_BARS, SYMBOLS, Dataset

SETTINGS = market_settings({f"{name}_FIRST_SESSION".upper(): "2025-01-02" for name in Dataset})


class Market:
    """Three symbols; fails on the sessions it is told to."""

    name = "market"
    simulated = False

    def __init__(self, failing: Sequence[str] = (), on_ask: Callable[[date], None] | None = None):
        self.failing = {date.fromisoformat(day) for day in failing}
        self.on_ask = on_ask or (lambda _: None)

    def _rows(
        self, session: date, symbols: Sequence[str] | None, columns: Sequence[str], *row: object
    ) -> pd.DataFrame:
        self.on_ask(session)
        if session in self.failing:
            raise SourceError(f"no dump of {session}")
        rows = [
            [symbol if cell is Ellipsis else cell for cell in row]
            for symbol in symbols or ("005930", "000660", "0126Z0")
        ]
        return pd.DataFrame(rows, columns=list(columns))

    def symbols(self, session, symbols):
        return self._rows(
            session, symbols, SYMBOLS.column_names, ..., "name", "KOSPI", None, None, None
        )

    def daily_bars(self, session, symbols):
        row = (session, ..., 10.0, 12.0, 9.0, 11.0, 100, None, None, None)
        return self._rows(session, symbols, DAILY_BARS.column_names, *row)

    def minute_bars(self, session, symbols):
        at = pd.Timestamp(krx_calendar().opens_at(session))
        row = (at, ..., "KRX", 10.0, 12.0, 9.0, 11.0, 100, None)
        return self._rows(session, symbols, MINUTE_BARS.column_names, *row)

    def market_flows(self, session, symbols):
        self.on_ask(session)
        rows = [[session, market, 5, -2, -4, 1] for market in ("KOSPI", "KOSDAQ")]
        return pd.DataFrame(rows, columns=list(MARKET_FLOWS.column_names))
