"""A source that gives what a test put in, and rows to put in."""

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd

from resources.calendar import SEOUL
from resources.loading import Attempt
from resources.tables import DAILY_BARS, Table

SESSION = date(2025, 1, 2)
NOW = datetime(2025, 1, 3, 12, tzinfo=SEOUL)


def attempt(table: Table = DAILY_BARS, session: date = SESSION) -> Attempt:
    return Attempt(table, session, None, "run", "dump", False, False, NOW)


class Dump:
    """A source that gives what the test put in."""

    name = "dump"

    def __init__(self, *answers: pd.DataFrame | Exception, simulated: bool = False) -> None:
        self.answers = list(answers)
        self.simulated = simulated
        self.asked = 0

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if symbols is None else answer[answer["symbol"].isin(symbols)]

    minute_bars = supply_demand = market_flows = daily_bars


def bars(count: int, **changes: object) -> pd.DataFrame:
    """``count`` good daily bars, symbols 000000, 000001, …"""
    row: dict[str, object] = {
        "date": SESSION,
        "symbol": "",
        "open": 100.0,
        "high": 120.0,
        "low": 90.0,
        "close": 110.0,
        "volume": 1000,
        "trading_value": 110_000,
        "market_cap": None,
        "listed_shares": 5_000,
    }
    rows = [row | {"symbol": f"{number:06d}"} | changes for number in range(count)]
    return pd.DataFrame(rows, columns=list(DAILY_BARS.column_names))


def with_bad(count: int, bad: int) -> pd.DataFrame:
    frame = bars(count)
    frame.loc[: bad - 1, "volume"] = -1
    return frame
