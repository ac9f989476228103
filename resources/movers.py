"""How the market closed on a session, against the one before: breadth, and who moved most."""

from dataclasses import dataclass
from datetime import date

from resources.aggregates import window
from resources.databases import TimescaleDB, persistently
from resources.statements import statement

EACH_WAY = 3
"""Movers that are shown of each direction."""
_LARGEST = 0.305
"""KRX lets prices move by 30 % a day, rounded to their tick."""


@dataclass(frozen=True)
class Breadth:
    """Symbols by their close against the session before."""

    advancing: int
    declining: int
    unchanged: int
    halted: int
    without_base: int
    """Without a close in the session before, such as those listed on the day."""


@dataclass(frozen=True)
class Candle:
    """KRW as traded; ``at`` is the start, in seconds since midnight in Seoul."""

    at: float
    open: float
    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Mover:
    """A symbol, its close against ``base`` (that of the session before), and its candles: of five
    minutes, or one of the day where there are none."""

    symbol: str
    base: float
    change: float
    candles: tuple[Candle, ...]


@dataclass(frozen=True)
class Close:
    """What the picture of a session shows."""

    session: date
    breadth: Breadth
    movers: tuple[Mover, ...]


@persistently
def close_of(timescaledb: TimescaleDB, session: date, before: date) -> Close | None:
    """How ``session`` closed against the session ``before``; None where either has no daily bars.
    Raises ``DatabaseError``."""
    start, end = window(session)
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement("report/breadth"), (session, before))
        breadth = Breadth(*cursor.fetchone())
        if not breadth.advancing + breadth.declining + breadth.unchanged:
            return None
        cursor.execute(statement("report/movers"), (session, before, EACH_WAY, _LARGEST))
        moved = cursor.fetchall()
        cursor.execute(
            statement("report/candles"),
            (start.isoformat(), end.isoformat(), [symbol for symbol, *_ in moved]),
        )
        candles: dict[str, list[Candle]] = {}
        for symbol, *candle in cursor.fetchall():
            candles.setdefault(symbol, []).append(Candle(*candle))
    return Close(
        session,
        breadth,
        tuple(
            Mover(
                symbol,
                base,
                change,
                tuple(candles.get(symbol, [Candle(0.0, open, high, low, close)])),
            )
            for symbol, open, high, low, close, base, change in moved
        ),
    )
