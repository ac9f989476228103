"""Ticks, price limits and hours of a session, from ``market.toml`` and the calendar."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from resources.calendar import SEOUL, KrxCalendar

_FUNDS = ("etf", "etn")
_UNLIMITED_BEFORE_DELISTING = 15
"""Sessions: before its delisting a symbol is traded for seven sessions without price limits, and
lists say the day of the delisting differently."""


@dataclass(frozen=True)
class Member:
    """A symbol listed on a session, as the checks need it."""

    symbol: str
    market: str
    kind: str | None
    listing_date: date | None
    delisting_date: date | None


@dataclass(frozen=True)
class Ladder:
    """Ticks: a price below ``below[n]``, and not below the one before, is a multiple of
    ``ticks[n]``. KRW."""

    below: tuple[int, ...]
    ticks: tuple[int, ...]


@dataclass(frozen=True)
class Hours:
    """When bars of a venue may begin on a session: from ``first`` until before ``until``, and from
    ``auction`` to ``auction_end`` inclusive."""

    venue: str
    first: datetime
    until: datetime
    auction: datetime
    auction_end: datetime


@cache
def _market() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_name("market.toml").read_text())


def ladder(member: Member, session: date) -> Ladder | None:
    """The ticks of a symbol on a session; None where they are not known."""
    return _ladder(member.market, member.kind in _FUNDS, session)


@lru_cache
def _ladder(market: str, is_fund: bool, session: date) -> Ladder | None:
    rule = _newest(
        (
            rule
            for rule in _market()["ticks"]
            if market in rule["markets"] and is_fund == ("kinds" in rule)
        ),
        session,
    )
    return None if rule is None else Ladder(tuple(rule["below"]), tuple(rule["ticks"]))


def price_limit(member: Member, session: date, calendar: KrxCalendar) -> float | None:
    """How far a symbol's prices may be from the base price, as a share of it; None where there is
    no limit, or one that is not known: of funds, which may be leveraged, on the first session of a
    listing, and before a delisting."""
    if member.kind in _FUNDS or (member.listing_date or date.min) >= session:
        return None
    if member.delisting_date is not None:
        sessions = calendar.sessions
        place = sessions.index(session) + _UNLIMITED_BEFORE_DELISTING
        if place >= len(sessions) or member.delisting_date <= sessions[place]:
            return None
    return _limit(member.market, session)


@lru_cache
def _limit(market: str, session: date) -> float | None:
    rule = _newest((rule for rule in _market()["limits"] if market in rule["markets"]), session)
    return None if rule is None else float(rule["share"])


def hours(session: date, calendar: KrxCalendar) -> list[Hours]:
    """The hours of every venue that trades on a session."""

    def at(clock: time) -> datetime:
        return datetime.combine(session, clock, SEOUL)

    found = []
    for rule in _market()["hours"]:
        if rule.get("since", date.min) > session:
            continue
        if rule.get("regular"):
            closes = calendar.closes_at(session)
            found.append(
                Hours(
                    rule["venue"],
                    calendar.opens_at(session),
                    closes - timedelta(minutes=rule["auction"]),
                    closes,
                    closes + timedelta(minutes=rule["auction_delay"]),
                )
            )
        else:
            opens, closes = at(rule["open"]), at(rule["close"])
            # Without an auction of its own: nothing lies between these.
            found.append(Hours(rule["venue"], opens, closes, closes, opens))
    return found


def _newest(rules: Iterable[Mapping[str, Any]], session: date) -> Mapping[str, Any] | None:
    begun = [rule for rule in rules if rule["since"] <= session]
    return max(begun, key=lambda rule: rule["since"], default=None)


def market_parameters(
    members: Mapping[str, Member] | None, session: date, calendar: KrxCalendar
) -> tuple[str, str]:
    """Members by price limit and ladder, and the ladders, as JSON for ``sql/checks``."""
    alike: dict[tuple[float | None, Ladder | None], list[str]] = {}
    for member in (members or {}).values():
        rules = price_limit(member, session, calendar), ladder(member, session)
        alike.setdefault(rules, []).append(member.symbol)
    places: dict[Ladder, int] = {}
    symbols = [
        {
            "symbols": symbols,
            "price_limit": limit,
            "ladder": None if own is None else places.setdefault(own, len(places)),
        }
        for (limit, own), symbols in alike.items()
    ]
    steps = [
        {"ladder": place, "below": one.below, "ticks": one.ticks} for one, place in places.items()
    ]
    return json.dumps(symbols), json.dumps(steps)


def hours_parameter(session: date, calendar: KrxCalendar) -> str:
    """The hours of every venue, as JSON for ``sql/checks``."""
    return json.dumps([asdict(one) for one in hours(session, calendar)], default=datetime.isoformat)
