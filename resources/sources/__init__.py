"""Where market data comes from: the protocol every source keeps, and the errors it may raise.

A source turns one vendor's answer into canonical columns and nothing else: it neither judges rows
(``validation`` does) nor writes them (``loading`` does).
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd


class SourceError(Exception):
    """The source cannot deliver, and asking again will not help. The text names the file or
    request, the column, the setting to change and the remedy."""


class SourceUnavailableError(SourceError):
    """The source did not answer this time (network, rate limit): worth another try."""


class NotCoveredError(SourceError):
    """The source holds nothing at all for the session."""


class MarketSource(Protocol):
    """One supplier of Korean market data, asked one KRX session at a time.

    Every method returns one DataFrame whose columns are exactly those of its table in
    ``resources.tables`` (same names, same order), one row per key, in any row order:

    - prices in KRW as traded, unadjusted; amounts in KRW; ``volume``, ``listed_shares`` in shares
    - ``date`` as ``datetime.date``; ``time`` as timezone-aware timestamps of the bar's START, the
      closing-auction bar at the session's close
    - a value the vendor left out is null; one it garbled is passed on as it came, so that
      validation can refuse that row and keep it, instead of the whole session being lost

    ``symbols`` limits the answer to those codes; None means all of them. Only a limited answer may
    have no rows. ``market_flows`` knows no symbols and takes None alone.

    Raises ``NotCoveredError`` when nothing is held for the session, ``SourceUnavailableError`` when
    another try may help, and ``SourceError`` for anything else.
    """

    @property
    def name(self) -> str:
        """What the ledger records, such as ``files``."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether the rows are invented."""
        ...

    def symbols(self, session: date, symbols: Sequence[str] | None) -> "pd.DataFrame":
        """Members of the session: columns of ``tables.SYMBOLS``, one row per symbol."""
        ...

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> "pd.DataFrame":
        """Whole-session bars: columns of ``tables.DAILY_BARS``, one row per symbol. A halted
        symbol has open = high = low = 0, volume = 0 and the last close."""
        ...

    def minute_bars(self, session: date, symbols: Sequence[str] | None) -> "pd.DataFrame":
        """1-minute bars: columns of ``tables.MINUTE_BARS``, one row per symbol, venue and minute
        that traded."""
        ...

    def supply_demand(self, session: date, symbols: Sequence[str] | None) -> "pd.DataFrame":
        """Net buying by investor type in KRW: columns of ``tables.SUPPLY_DEMAND``, one row per
        symbol. A type the vendor does not report is null; ``estimated`` is true where the vendor
        gave shares and the amount was derived."""
        ...

    def market_flows(self, session: date, symbols: None) -> "pd.DataFrame":
        """Net buying by investor type in KRW of KOSPI and of KOSDAQ as a whole: columns of
        ``tables.MARKET_FLOWS``, one row per market. A type the vendor does not report is null."""
        ...

    def companies(self, session: date, symbols: Sequence[str] | None) -> "pd.DataFrame":
        """What is known of each company listed on the session: columns of ``tables.COMPANIES``,
        one row per symbol."""
        ...

    def etf_constituents(self, session: date, symbols: Sequence[str] | None) -> "pd.DataFrame":
        """What a creation unit of each ETF holds: columns of ``tables.ETF_CONSTITUENTS``, one row
        per ETF and constituent, cash included. ``symbols`` names ETFs."""
        ...
