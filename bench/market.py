"""Rows for the benchmarks: whole sessions of the size of the real market, the same every time."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from resources.calendar import SEOUL, krx_calendar
from resources.tables import MINUTE_BARS

FIRST = krx_calendar().sessions.index(date(2024, 1, 2))
SESSIONS = krx_calendar().sessions[FIRST : FIRST + 250]
SESSION = SESSIONS[0]
SYMBOLS = 2_700


def minute_bars(symbols: int, session: date = SESSION) -> pd.DataFrame:
    """A session in which every symbol trades in each of the 381 minutes: canonical columns."""
    opens = datetime.combine(session, time(9), SEOUL).astimezone(UTC)
    minutes = [opens + timedelta(minutes=n) for n in (*range(380), 390)]
    random = np.random.default_rng(0)
    shape = (symbols, len(minutes))
    last = random.integers(1_000, 400_000, (symbols, 1)) + random.integers(-5, 6, shape).cumsum(1)
    first = np.hstack([last[:, :1], last[:, :-1]])
    volume = random.integers(1, 20_000, shape)
    codes = pa.array([f"{n:06d}" for n in range(symbols)])
    columns = {
        "time": pa.array(minutes, pa.timestamp("us", "UTC")).take(
            pa.array(np.tile(np.arange(len(minutes)), symbols))
        ),
        "symbol": codes.take(pa.array(np.repeat(np.arange(symbols), len(minutes)))),
        "venue": pa.array(["KRX"] * last.size),
        "open": first.ravel(),
        "high": (np.maximum(first, last) + 1).ravel(),
        "low": (np.minimum(first, last) - 1).ravel(),
        "close": last.ravel(),
        "volume": volume.ravel(),
        "trading_value": (volume * last).ravel(),
    }
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame[list(MINUTE_BARS.column_names)]


def write_csv(rows: pa.Table, path: Path) -> None:
    """What ``\\copy … csv`` reads, a header first."""
    pyarrow.csv.write_csv(rows, path)


def daily_bars(symbols: int) -> pd.DataFrame:
    """A session of daily bars: canonical columns but ``date``."""
    place = np.arange(symbols)
    close = 1_000 + place
    return pd.DataFrame(
        {
            "symbol": [f"{n:06d}" for n in place],
            "open": close,
            "high": close + 5,
            "low": close - 5,
            "close": close,
            "volume": 1_000 + place,
            "trading_value": close * (1_000 + place),
            "market_cap": close * 10_000_000,
            "listed_shares": 10_000_000,
        }
    )


class Dumps:
    """A source: one parquet file of minute bars, whatever the session; daily bars of ``size``
    symbols, which are in memory already."""

    name = "dumps"
    simulated = True

    def __init__(self, minutes: Path | None = None, size: int = SYMBOLS) -> None:
        self._minutes = minutes
        self._days = daily_bars(size)

    def minute_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        return pd.read_parquet(self._minutes)

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        return self._days.assign(date=session)
