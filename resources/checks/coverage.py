"""Whether a session has the symbols and the bars it should have: two rules about what is missing,
or too much, judged on sets of symbols."""

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from resources.checks.market import Member

EXAMPLES = 20
_ALWAYS_ALLOWED = 5
_UNKNOWN_SHARE = 0.01
_GONE_SHARE = 0.05
_FEWER_BARS = 0.5
"""Bars a minute, of the session before: a day's trade may halve, hardly more."""


@dataclass(frozen=True)
class Finding:
    """What a rule found, before it is a result."""

    checked: int
    found: int
    passed: bool
    details: dict[str, Any] = field(default_factory=dict)


def not_judged(why: str) -> Finding:
    """There was nothing to judge by."""
    return Finding(0, 0, True, {"not_judged": why})


def unknown_symbols(there: Set[str], members: Mapping[str, Member]) -> Finding:
    """The symbols of a session that are not its members."""
    unknown = sorted(there - members.keys())
    allowed = max(_ALWAYS_ALLOWED, int(len(there) * _UNKNOWN_SHARE))
    return Finding(
        len(there),
        len(unknown),
        len(unknown) <= allowed,
        {"members": len(members), "allowed": allowed, "examples": _listed(unknown)},
    )


@dataclass(frozen=True)
class Expected:
    """What a session is held against: each part is None where it is not known."""

    members: Mapping[str, Member] | None = None
    coverage: float = 1.0
    """The share of the members that the source holds."""
    traded: Set[str] | None = None
    """Symbols that traded, as daily bars say; all of them should have minutes."""
    before: Set[str] | None = None
    """Symbols of the session before."""
    bars_before: float | None = None
    """Bars a minute of the session before."""


def row_count(there: Set[str], expected: Expected, bars: float | None = None) -> Finding:
    """Whether a session has the symbols that are expected, and as many ``bars`` a minute as the one
    before lets expect. A kind of which neither session has a single symbol is not what the source
    holds."""
    details: dict[str, Any] = {"symbols": len(there)}
    missing: set[str] = set()
    checked: set[str] = set()
    passed = True
    known = expected.members
    if known is not None:
        seen = there | (expected.before or frozenset())
        kinds = {known[symbol].kind for symbol in seen & known.keys()}
        should = {symbol for symbol, member in known.items() if member.kind in kinds}
        if expected.traded is not None:
            should &= expected.traded
        absent = should - there
        details |= {"expected": len(should), "missing": len(absent)}
        if left := sorted({str(member.kind) for member in known.values()} - set(map(str, kinds))):
            details["kinds_not_held"] = left
        checked |= should
        passed &= _few(absent, should, 1 - expected.coverage)
        if not _few(absent, should, 1 - expected.coverage):
            missing |= absent
    if expected.before is not None:
        should = set(expected.before if known is None else expected.before & known.keys())
        gone = should - there
        details |= {"session_before": len(expected.before), "gone": len(gone)}
        checked |= should
        if not _few(gone, should, _GONE_SHARE):
            passed = False
            missing |= gone
    found = len(missing)
    if expected.bars_before and bars is not None:
        details |= {
            "bars_a_minute": round(bars, 1),
            "bars_a_minute_before": round(expected.bars_before, 1),
        }
        checked |= there
        if bars < _FEWER_BARS * expected.bars_before:
            passed = False
            found = max(found, 1)
    return Finding(len(checked), found, passed, details | {"examples": _listed(sorted(missing))})


def _few(absent: Collection[str], should: Collection[str], share: float) -> bool:
    return len(absent) <= max(_ALWAYS_ALLOWED, len(should) * share)


def _listed(symbols: Collection[str]) -> list[dict[str, str]]:
    return [{"symbol": symbol} for symbol in list(symbols)[:EXAMPLES]]
