"""The source ``simulated``."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from resources.calendar import FIRST_DAY, KrxCalendar
from resources.sources import NotCoveredError, SourceError
from resources.sources.simulated.companies import descriptions
from resources.sources.simulated.flows import market_amounts, net_amounts
from resources.sources.simulated.holdings import CASH, CASH_NAME, holdings
from resources.sources.simulated.listing import PLACES, day_of
from resources.sources.simulated.minutes import minute_bars
from resources.sources.simulated.prices import DailyBars, daily_bars
from resources.sources.simulated.randomness import Integers
from resources.tables import (
    COMPANIES,
    DAILY_BARS,
    ETF_CONSTITUENTS,
    MARKET_FLOWS,
    MINUTE_BARS,
    SUPPLY_DEMAND,
    SYMBOLS,
)

_AUCTION = timedelta(minutes=10)


class SimulatedSource:
    """A deterministic KRX market (see the package): ``size`` of its 2,700 symbols, for any session
    of ``calendar``. ``now`` tells the time, so that a session under way has
    the minutes that are over and no others.

    Raises ``SourceError`` for a day that is no session.
    """

    name = "simulated"
    simulated = True

    def __init__(
        self,
        calendar: KrxCalendar,
        now: Callable[[], datetime],
        *,
        size: int = PLACES,
        seed: int = 0,
    ) -> None:
        if not 1 <= size <= PLACES:
            raise SourceError(f"SIMULATED_SYMBOLS={size}: the simulated market has 1 to {PLACES:,}")
        self._calendar = calendar
        self._now = now
        self._size = size
        self._seed = seed

    def symbols(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Members of the session; columns of ``tables.SYMBOLS``."""
        bars = self._bars(session)
        places = self._places(bars, symbols)
        listing = bars.listing
        frame = pd.DataFrame(
            {
                "symbol": np.array(listing.symbols, dtype=object)[places],
                "name": np.array(listing.names, dtype=object)[places],
                "market": np.array(listing.markets, dtype=object)[places],
                "kind": np.array(listing.kinds, dtype=object)[places],
                "listing_date": [self._listed(int(day)) for day in listing.first_day[places]],
                "delisting_date": None,
            }
        )
        return frame[list(SYMBOLS.column_names)]

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Whole-session bars; columns of ``tables.DAILY_BARS``."""
        bars = self._bars(session)
        places = self._places(bars, symbols)
        frame = pd.DataFrame(
            {
                "date": session,
                "symbol": np.array(bars.listing.symbols, dtype=object)[places],
                "open": bars.open[places],
                "high": bars.high[places],
                "low": bars.low[places],
                "close": bars.close[places],
                "volume": bars.volume[places],
                "trading_value": bars.trading_value[places],
                "market_cap": (bars.close * bars.listed_shares)[places],
                "listed_shares": bars.listed_shares[places],
            }
        )
        return frame[list(DAILY_BARS.column_names)]

    def minute_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """1-minute bars of venue KRX; columns of ``tables.MINUTE_BARS``."""
        bars = self._bars(session)
        opens, closes = self._calendar.opens_at(session), self._calendar.closes_at(session)
        minutes = int((closes - _AUCTION - opens).total_seconds()) // 60
        made = minute_bars(bars, minutes, self._places(bars, symbols))
        starts = [opens + timedelta(minutes=minute) for minute in range(minutes)] + [closes]
        over = np.array([start + timedelta(minutes=1) <= self._now() for start in starts])
        kept = over[made.minute]
        place, minute = made.place[kept], made.minute[kept]
        # Arrow's dictionaries: a million symbols and times without a million Python objects.
        instants = pa.array([start.astimezone(UTC) for start in starts], pa.timestamp("us", "UTC"))
        columns = {
            "time": instants.take(pa.array(minute)),
            "symbol": pa.array(bars.listing.symbols).take(pa.array(place)),
            "venue": pa.array(["KRX"]).take(pa.array(np.zeros(len(place), dtype=np.int64))),
            "open": made.open[kept],
            "high": made.high[kept],
            "low": made.low[kept],
            "close": made.close[kept],
            "volume": made.volume[kept],
            "trading_value": made.volume[kept] * made.close[kept],
        }
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame[list(MINUTE_BARS.column_names)]

    def supply_demand(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Net buying in KRW of all four types; columns of ``tables.SUPPLY_DEMAND``."""
        bars = self._bars(session)
        places = self._places(bars, symbols)
        amounts = {name: amount[places] for name, amount in net_amounts(bars).items()}
        frame = pd.DataFrame(
            {
                "date": session,
                "symbol": np.array(bars.listing.symbols, dtype=object)[places],
                **amounts,
                "estimated": False,
            }
        )
        return frame[list(SUPPLY_DEMAND.column_names)]

    def market_flows(self, session: date, symbols: None) -> pd.DataFrame:
        """Sums of what ``supply_demand`` gives, by market; columns of ``tables.MARKET_FLOWS``."""
        bars = self._bars(session)
        markets, amounts = market_amounts(bars, self._places(bars, None))
        frame = pd.DataFrame({"date": session, "market": markets, **amounts})
        return frame[list(MARKET_FLOWS.column_names)]

    def companies(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """What is known of each company; columns of ``tables.COMPANIES``. ETFs are none."""
        bars = self._bars(session)
        listing = bars.listing
        places = self._places(bars, symbols)
        places = places[~listing.etf[places]]
        frame = pd.DataFrame(
            {
                "symbol": np.array(listing.symbols, dtype=object)[places],
                "name": np.array(listing.names, dtype=object)[places],
                "market": np.array(listing.markets, dtype=object)[places],
                "listing_date": [self._listed(int(day)) for day in listing.first_day[places]],
                **{name: values[places] for name, values in descriptions(listing).items()},
            }
        )
        return frame[list(COMPANIES.column_names)]

    def etf_constituents(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """What each ETF holds at the close; columns of ``tables.ETF_CONSTITUENTS``."""
        bars = self._bars(session)
        listing = bars.listing
        if not listing.etf[: self._size].any():
            first = int(np.argmax(listing.etf)) + 1
            raise NotCoveredError(
                f"a simulated market of {self._size} symbols has no ETF: "
                f"set SIMULATED_SYMBOLS={first} or more"
            )
        places = self._places(bars, symbols)
        rows: list[tuple[object, ...]] = []
        for place in places[listing.etf[places]].tolist():
            held = holdings(bars, place)
            etf = listing.symbols[place]
            weights = (held.weight / 100).tolist()
            rows += [
                (session, etf, listing.symbols[at], listing.names[at], shares, value, weight)
                for at, shares, value, weight in zip(
                    held.places.tolist(),
                    held.shares.tolist(),
                    held.value.tolist(),
                    weights,
                    strict=False,
                )
            ]
            rows.append((session, etf, CASH, CASH_NAME, None, int(held.value[-1]), weights[-1]))
        return pd.DataFrame(rows, columns=list(ETF_CONSTITUENTS.column_names))

    def _bars(self, session: date) -> DailyBars:
        sessions = self._calendar.sessions
        if not self._calendar.is_session(session):
            raise SourceError(
                f"the simulated market did not trade on {session}: ask for a KRX session from "
                f"{sessions[0]} to {sessions[-1]}"
            )
        return daily_bars(self._seed, session, self._calendar)

    def _places(self, bars: DailyBars, symbols: Sequence[str] | None) -> Integers:
        places = np.arange(self._size)
        if symbols is None:
            return places
        wanted = set(symbols)
        return places[[bars.listing.symbols[place] in wanted for place in places]]

    def _listed(self, day: int) -> date:
        listed = day_of(day)
        return self._calendar.next_session(listed) if listed >= FIRST_DAY else listed
