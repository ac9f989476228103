"""The aggregates over minute bars: their columns, units and keys, and what each is made of.

What an aggregate is, is one SELECT in ``sql/aggregates``; it is put in place by ``deployment`` and
kept up by ``refresh``. Columns here are for people (Dagster shows them); a test holds them against
the database.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from resources.calendar import SEOUL
from resources.statements import statement
from resources.tables import MINUTE_BARS, Column, Kind

_BUCKET = "start of the bucket, stored in UTC"


@dataclass(frozen=True)
class Aggregate:
    """One aggregate; ``source`` is the table it reads, by ``source_time``."""

    name: str
    description: str
    source: str
    source_time: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    chunk_days: int

    @property
    def definition(self) -> str:
        """Its SELECT."""
        return statement(f"aggregates/{self.name}")


def window(session: date) -> tuple[datetime, datetime]:
    """What of an aggregate belongs to a session: the whole day in Seoul, since other venues trade
    before and after KRX; the end is not part of it."""
    start = datetime.combine(session, time.min, SEOUL)
    return start, start + timedelta(days=1)


_SYMBOL, _VENUE = MINUTE_BARS.column("symbol"), MINUTE_BARS.column("venue")
_OHLC = (
    Column("open", Kind.PRICE, "first price, KRW as traded"),
    Column("high", Kind.PRICE, "highest price, KRW as traded"),
    Column("low", Kind.PRICE, "lowest price, KRW as traded"),
    Column("close", Kind.PRICE, "last price, KRW as traded"),
)
_TRADED = (
    Column("volume", Kind.BIGINT, "shares traded"),
    Column("trading_value", Kind.BIGINT, "KRW traded, of the bars that say so; null = none", True),
    Column("bars", Kind.BIGINT, "1-minute bars it is made of"),
)

CANDLES_5M = Aggregate(
    name="candles_5m",
    description="5-minute candles by symbol and venue, from the minute bars",
    source="stock_prices",
    source_time="time",
    columns=(
        Column("bucket", Kind.TIMESTAMPTZ, f"{_BUCKET}; the closing auction at the close"),
        _SYMBOL,
        _VENUE,
        *_OHLC,
        *_TRADED,
    ),
    key=("symbol", "venue", "bucket"),
    chunk_days=7,
)

DAILY_CANDLES = Aggregate(
    name="daily_candles",
    description="Daily candles of KRX by symbol, days in Seoul, from the 5-minute candles",
    source="candles_5m",
    source_time="bucket",
    columns=(
        Column("bucket", Kind.TIMESTAMPTZ, "midnight in Seoul, stored in UTC (15:00 before)"),
        _SYMBOL,
        *_OHLC,
        *_TRADED,
    ),
    key=("symbol", "bucket"),
    chunk_days=365,
)

VOLUME_PROFILE = Aggregate(
    name="volume_profile",
    description="Volume and trading value by time of day: 30 minutes of a symbol and venue",
    source="stock_prices",
    source_time="time",
    columns=(
        Column("bucket", Kind.TIMESTAMPTZ, _BUCKET),
        _SYMBOL,
        _VENUE,
        Column("time_of_day", Kind.TIME, "start of the bucket, Asia/Seoul"),
        *_TRADED,
    ),
    key=("symbol", "venue", "bucket"),
    chunk_days=28,
)

AGGREGATES = (CANDLES_5M, DAILY_CANDLES, VOLUME_PROFILE)
"""All of them, each after what it reads."""


def source_aggregate(aggregate: Aggregate) -> Aggregate | None:
    """The aggregate that ``aggregate`` reads; None if it reads minute bars."""
    return next((other for other in AGGREGATES if other.name == aggregate.source), None)
