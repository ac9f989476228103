"""Freshness: is the newest session that should be there by now really there?

What counts is the session, never the time of a load: the ledger (for aggregates, what their
refreshes cover) must have the session whole and final. A backfill of old sessions makes nothing
fresh, and closed days make nothing stale.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum

from resources.aggregates import AGGREGATES
from resources.calendar import SEOUL, KrxCalendar
from resources.connections import Connectable
from resources.databases import persistently
from resources.settings import MarketSettings
from resources.standing import moved_with_close
from resources.statements import statement
from resources.tables import TABLES, Dataset

_AFTER_MINUTE_BARS = timedelta(minutes=15)
"""What an aggregate may take longer than its minute bars."""


@dataclass(frozen=True)
class Freshness:
    """How fresh an asset is at some instant."""

    due: date
    """The newest session that should be there."""
    since: datetime
    """Since when, Asia/Seoul."""
    newest: date | None
    """The newest session that is there, whole and final; None: none is."""
    newest_attempt: str = ""
    """What became of the newest attempt to load the session that is due."""

    @property
    def is_fresh(self) -> bool:
        # A newer session than the one due makes up for it: what is missing before it is a gap.
        return self.newest is not None and self.newest >= self.due

    def __str__(self) -> str:
        if self.is_fresh:
            return f"{self.due} was due at {self.since:%H:%M on %Y-%m-%d} and is there."
        there = f"the newest session is {self.newest}" if self.newest else "no session is there"
        return (
            f"{self.due} was due at {self.since:%H:%M on %Y-%m-%d}; {there}. {self.newest_attempt}"
        )


class Watched(Enum):
    """The assets whose freshness is judged, by their names."""

    SYMBOLS = "symbols"
    DAILY_BARS = "daily_bars"
    MINUTE_BARS = "minute_bars"
    SUPPLY_DEMAND = "supply_demand"
    MARKET_FLOWS = "market_flows"
    COMPANIES = "companies"
    ETF_CONSTITUENTS = "etf_constituents"
    CANDLES_5M = "candles_5m"
    DAILY_CANDLES = "daily_candles"
    VOLUME_PROFILE = "volume_profile"

    @property
    def dataset(self) -> Dataset:
        """The dataset whose collection it waits for."""
        return Dataset.MINUTE_BARS if self.is_aggregate else Dataset(self.value)

    @property
    def database(self) -> str:
        """The resource whose ledger knows of it."""
        return TABLES[self.dataset].database

    @property
    def is_aggregate(self) -> bool:
        return self.value in {aggregate.name for aggregate in AGGREGATES}


def due_at(
    watched: Watched, session: date, calendar: KrxCalendar, settings: MarketSettings
) -> datetime:
    """When ``session`` should be there: at its collection time, which moves with a later close,
    and FRESHNESS_GRACE later."""
    collected = moved_with_close(calendar, session, settings.collection_time(watched.dataset))
    slack = _AFTER_MINUTE_BARS if watched.is_aggregate else timedelta(0)
    return collected + timedelta(minutes=settings.freshness_grace) + slack


def due_session(
    watched: Watched, calendar: KrxCalendar, settings: MarketSettings, now: datetime
) -> date | None:
    """The newest session that should be there at ``now`` (with a zone); None before the dataset's
    first one is due."""
    day = now.astimezone(SEOUL).date()
    first = settings.first_session(watched.dataset, day)
    while day >= first:
        session = calendar.last_session(day)
        if due_at(watched, session, calendar, settings) <= now:
            return session
        day = session - timedelta(days=1)
    return None


@persistently
def freshness(
    watched: Watched,
    database: Connectable,
    calendar: KrxCalendar,
    settings: MarketSettings,
    now: datetime,
) -> Freshness | None:
    """How fresh it is at ``now`` by what ``database`` says, which is the one that holds it; None
    before its first session is due. Raises ``DatabaseError``."""
    due = due_session(watched, calendar, settings, now)
    if due is None:
        return None
    with database.connect() as connection, connection.cursor() as cursor:
        kind = "refreshed" if watched.is_aggregate else "loaded"
        cursor.execute(statement(f"freshness/newest_{kind}_session"), (watched.value,))
        newest = (cursor.fetchone() or (None,))[0]
        cursor.execute(statement("freshness/newest_attempt"), (watched.dataset.value, due))
        attempt = cursor.fetchone()
    said = _said(watched, attempt)
    return Freshness(due, due_at(watched, due, calendar, settings), newest, said)


def _said(watched: Watched, attempt: tuple[str, bool, int, str | None] | None) -> str:
    dataset = watched.dataset.value
    if attempt is None:
        return f"Nobody tried to load {dataset} of it."
    outcome, provisional, symbols, error = attempt
    if outcome in ("refused", "failed"):
        return f"The newest load of {dataset} of it was {outcome}: {error}"
    if provisional:
        return f"The newest load of {dataset} of it is provisional, from before it was final."
    if symbols:
        return f"The newest load of {dataset} of it was limited to {symbols:,} symbols."
    if outcome == "dropped":
        return f"Retention dropped {dataset} of it."
    return f"Its {dataset} are there; it was not refreshed since." if watched.is_aggregate else ""
