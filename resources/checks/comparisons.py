"""What each reconciliation compares: one session of two tables, maybe of two databases.

Each comparison says how much it looked at and what differs; where its sides cannot be compared
(a source that covers a few symbols), it says why instead.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from resources.calendar import krx_calendar
from resources.connections import Connectable, Databases
from resources.statements import statement
from resources.tables import MARKET_FLOWS, Dataset

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 20
VOLUME_SHARE = 0.5
"""Of a bar's volume: the rest may be off-hours and block trades, which no minute has."""
FLOW_TOLERANCE = 0.001
FLOW_COVERAGE = 0.9
_COVERAGE = 0.5
"""A source that gives fewer than this share of the symbols was never meant to give all."""
_BUSY_MINUTE = 5
"""Bars a minute, on average, from which on a minute without any cannot be chance."""
_LONG_SILENCE = 10
"""Minutes without a bar that cannot be chance where else nearly every symbol has one in each."""
_NEARLY = 0.9
_AUCTION = timedelta(minutes=10)
_NOT_IN_MARKET_FLOWS = ("etf", "etn")
"""Kinds that KRX leaves out of a market's net buying."""


@dataclass(frozen=True)
class Comparison:
    """``checked`` things were looked at, ``found`` of them differ. ``details`` hold numbers, and
    under ``examples`` the first of what was found."""

    checked: int
    found: int
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def impossible(cls, why: str, **numbers: Any) -> "Comparison":
        return cls(0, 0, {"not_evaluated": why, **numbers})


class Sides:
    """The databases, and what was listed when, read once."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    def rows(self, name: str, *parameters: Any) -> "pd.DataFrame":
        """What a statement in ``sql/reconciliation`` finds in TimescaleDB."""
        return _rows(self._databases.timescaledb, name, *parameters)

    @cached_property
    def _symbols(self) -> "pd.DataFrame":
        return _rows(self._databases.of(Dataset.SYMBOLS), "members")

    def members(self, session: date) -> "pd.DataFrame":
        """Symbol, market and kind of the session's members."""
        known = self._symbols
        ends = known["valid_to"]
        return known[(known["valid_from"] <= session) & (ends.isna() | (ends > session))]


def _rows(database: Connectable, name: str, *parameters: Any) -> "pd.DataFrame":
    import pandas as pd

    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement(f"reconciliation/{name}"), parameters or None)
        # Objects: an amount beside a null must not become a float.
        table = cursor.fetch_arrow_table()
    return pd.DataFrame(
        {name: pd.Series(table[name].to_pylist(), dtype=object) for name in table.column_names}
    )


def members_and_bars(sides: Sides, session: date) -> Comparison:
    """``symbols`` and the symbols in ``daily_bars``, both ways."""
    members = sides.members(session)
    bars = set(sides.rows("bars_of", session)["symbol"])
    expected, uncovered = _by_kind(members, bars)
    without_bar = sorted(set(expected["symbol"]) - bars)
    unknown = sorted(bars - set(members["symbol"]))
    return Comparison(
        checked=len(bars | set(expected["symbol"])),
        found=len(without_bar) + len(unknown),
        details={
            "members_without_bar": len(without_bar),
            "bars_without_member": len(unknown),
            "members_of_kinds_without_bars": uncovered,
            "examples": _examples(
                [{"symbol": symbol, "difference": "no bar"} for symbol in without_bar]
                + [{"symbol": symbol, "difference": "no member"} for symbol in unknown]
            ),
        },
    )


def members_and_flows(sides: Sides, session: date) -> Comparison:
    """``symbols`` and the symbols in ``supply_demand``."""
    flows = set(sides.rows("flows_of", session)["symbol"])
    expected, uncovered = _by_kind(sides.members(session), flows)
    missing = sorted(set(expected["symbol"]) - flows)
    covered = len(expected) - len(missing)
    if covered < _COVERAGE * len(expected):
        return Comparison.impossible(f"the source covers {covered:,} of {len(expected):,} members")
    return Comparison(
        checked=len(expected),
        found=len(missing),
        details={
            "members_without_row": len(missing),
            "members_of_kinds_without_rows": uncovered,
            "examples": _examples({"symbol": symbol, "difference": "no row"} for symbol in missing),
        },
    )


def minutes_and_bars(sides: Sides, session: date) -> Comparison:
    """Minutes and symbols that ``stock_prices`` lacks, as far as ``daily_bars`` tells."""
    bars = sides.rows("bars_of", session)
    minutes = sides.rows("minutes_of", session)
    there = set(minutes["symbol"].dropna())
    at = minutes[minutes["symbol"].isna()].set_index("at")["bars"]
    traded = set(bars[bars["traded"].astype(bool)]["symbol"])
    details: dict[str, Any] = {}
    missing: list[str] = sorted(traded - there)
    if len(traded & there) < _COVERAGE * len(traded):
        details["symbols_not_evaluated"] = (
            f"the source covers {len(traded & there):,} of {len(traded):,} symbols that traded"
        )
        missing = []
    expected = _minutes(session)
    silent = [minute for minute in expected if minute not in at.index]
    bars_a_minute = int(at.sum()) / max(len(expected) - len(silent), 1)
    if bars_a_minute < _BUSY_MINUTE:
        silent = [minute for run in _runs(expected, silent) for minute in run]
        bars_a_minute = int(at.sum()) / max(len(expected) - len(silent), 1)
        if bars_a_minute < _NEARLY * len(there):
            details["minutes_not_evaluated"] = f"a minute has {bars_a_minute:.1f} bars on average"
            silent = []
    return Comparison(
        checked=len(traded) + len(expected),
        found=len(missing) + len(silent),
        details={
            **details,
            "symbols_without_minutes": len(missing),
            "silent_minutes": len(silent),
            "examples": _examples(
                [{"what": f"{at} in Seoul", "difference": "no bar"} for at in silent[:10]]
                + [{"what": symbol, "difference": "no minutes"} for symbol in missing]
            ),
        },
    )


def candles_and_bars(sides: Sides, session: date) -> Comparison:
    """Prices and volumes of ``daily_candles`` and ``daily_bars``."""
    found = sides.rows("candles_against_bars", session, VOLUME_SHARE)
    row = found.iloc[0]
    if not row["compared"]:
        return Comparison.impossible("the session has no candle")
    return Comparison(
        checked=row["compared"],
        found=row["different"],
        details={
            "least_share_of_volume": VOLUME_SHARE,
            "bars_without_candle": row["bars_without_candle"],
            "examples": json.loads(row["examples"]),
        },
    )


def market_and_symbol_flows(sides: Sides, session: date) -> Comparison:
    """``market_flows`` and the sums over ``supply_demand`` by the markets of ``symbols``."""
    members = sides.members(session)
    flows = sides.rows("flows_of", session)
    # Of a symbol that is no member nobody knows the market: it may be any one's difference.
    of_no_market = flows[~flows["symbol"].isin(members["symbol"])]
    members = members[~members["kind"].isin(_NOT_IN_MARKET_FLOWS)]
    flows = flows.merge(members[["symbol", "market"]], on="symbol")
    differences: list[dict[str, Any]] = []
    coverage, skipped, compared = {}, {}, 0
    for row in sides.rows("market_flows_of", session).to_dict("records"):
        market = row["market"]
        of_market = flows[flows["market"] == market]
        total = int((members["market"] == market).sum())
        coverage[market] = f"{len(of_market):,} of {total:,} members"
        if of_market["estimated"].any():
            skipped[market] = f"flows of symbols are estimated ({coverage[market]})"
        elif not total or len(of_market) < FLOW_COVERAGE * total:
            skipped[market] = f"flows cover {coverage[market]}"
        else:
            for name in MARKET_FLOWS.measures:
                amounts = of_market[name]
                if row[name] is None or amounts.isna().any():
                    skipped[f"{market} {name}"] = "not observed everywhere"
                    continue
                compared += 1
                of_symbols = sum(amounts)
                allowed = FLOW_TOLERANCE * sum(map(abs, amounts))
                allowed += sum(map(abs, of_no_market[name].dropna()))
                if abs(row[name] - of_symbols) > allowed:
                    differences.append(
                        {
                            "market": market,
                            "investor": name.removesuffix("_amount"),
                            "market_flows": row[name],
                            "sum_of_symbols": of_symbols,
                        }
                    )
    if not compared:
        why = "; ".join(f"{market}: {reason}" for market, reason in sorted(skipped.items()))
        return Comparison.impossible(why or "there are no market flows", coverage=coverage)
    return Comparison(
        checked=compared,
        found=len(differences),
        details={
            "coverage": coverage,
            "skipped": skipped,
            "symbols_of_no_market": len(of_no_market),
            "tolerance": FLOW_TOLERANCE,
            "examples": _examples(differences),
        },
    )


def _by_kind(members: "pd.DataFrame", there: set[str]) -> "tuple[pd.DataFrame, dict[str, int]]":
    """The members whose kind has any symbol ``there``, and how many there are of other kinds."""
    kinds = members["kind"].fillna("kind not known")
    covered = kinds.isin(set(kinds[members["symbol"].isin(there)]))
    return members[covered], {
        str(kind): int(count) for kind, count in kinds[~covered].value_counts().items()
    }


def _runs(expected: list[str], silent: list[str]) -> list[list[str]]:
    """The long silences."""
    runs: list[list[str]] = [[]]
    lacking = set(silent)
    for minute in expected:
        if minute in lacking:
            runs[-1].append(minute)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) >= _LONG_SILENCE]


def _minutes(session: date) -> list[str]:
    """When KRX's bars begin, in Seoul: those of continuous trading, and the closing auction's."""
    opens, closes = krx_calendar().opens_at(session), krx_calendar().closes_at(session)
    count = int((closes - _AUCTION - opens).total_seconds()) // 60
    starts: list[datetime] = [opens + timedelta(minutes=minute) for minute in range(count)]
    return [f"{start:%H:%M:%S}" for start in (*starts, closes)]


def _examples(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [example for example, _ in zip(found, range(EXAMPLES), strict=False)]
