"""What is wrong now, what of it has been told, and what a message says.

A problem is told once; again only after it was resolved and came back, or after a long time.
Problems of one group share a message, and a group speaks at most every ten minutes: however many
sessions or runs fail, nobody gets a hundred messages, and nothing is left out.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from stock_assets.partitions import named

PAUSE = timedelta(minutes=10)
"""Between two messages about one group."""
_LINES = 12
_DETAIL = 600
"""Characters of an error."""


class Kind(StrEnum):
    """What can be wrong; the value heads the message."""

    RUN = "Run failed"
    CHECK = "Check failed"
    STALE = "Stale"


@dataclass
class Problem:
    """Something that is wrong, or was and is to be told as resolved."""

    kind: Kind
    subject: str
    """What it is about, such as an asset and its check."""
    group: str
    session: str = ""
    """The partition, or the ends of a range with a space between; empty: none."""
    detail: str = ""
    run: str = ""
    """Dagster run in which it was found; empty: in none."""
    root: str = ""
    """The run that this one, through whatever retries, is a repetition of."""
    at: str = ""
    told: str = ""
    """When it was told last; empty: never."""


Readiness = Callable[[Problem], bool]


@dataclass
class Message:
    """One message, and the problems it tells of."""

    kind: Kind
    group: str
    keys: list[str]
    resolved: bool
    text: str


@dataclass
class Problems:
    """All of it, as it is kept in the sensor's cursor."""

    open: dict[str, Problem] = field(default_factory=dict)
    resolved: dict[str, Problem] = field(default_factory=dict)
    """Told, resolved since, and that not told yet."""
    spoke: dict[str, str] = field(default_factory=dict)
    """When each group was spoken of last."""
    after: int = -1
    """Every event up to this id was looked at; -1: none yet."""
    seen: list[int] = field(default_factory=list)
    """Ids above that were looked at as well."""

    @classmethod
    def from_json(cls, text: str | None) -> "Problems":
        content = json.loads(text or "{}")
        for name in ("open", "resolved"):
            content[name] = {
                key: Problem(**{**value, "kind": Kind(value["kind"])})
                for key, value in content.get(name, {}).items()
            }
        return cls(**content)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def failed(self, key: str, problem: Problem) -> None:
        """``problem`` is there now, whether it was before or not."""
        before = self.open.get(key) or self.resolved.pop(key, None)
        if before is not None:
            problem.told, problem.root = before.told, problem.root or before.root
        self.open[key] = problem

    def solved(self, key: str) -> None:
        """The problem is gone. One that was never told needs no word."""
        problem = self.open.pop(key, None)
        if problem is not None and problem.told:
            self.resolved[key] = problem

    def forget_old_runs(self, now: datetime, repeat: timedelta) -> None:
        """A failed run is an event and no state: after a time it may be told anew."""
        for key, problem in list(self.open.items()):
            if problem.kind is Kind.RUN and problem.told and _past(problem.told, repeat, now):
                del self.open[key]

    def due(self, now: datetime, repeat: timedelta, ready: Readiness, ui: str) -> list[Message]:
        """The messages to send now, oldest problem first. ``ready`` says of an untold problem
        whether it may be told yet."""
        groups: dict[tuple[Kind, str], dict[str, Problem]] = {}
        for key, problem in self.open.items():
            if _past(problem.told, repeat, now) if problem.told else ready(problem):
                groups.setdefault((problem.kind, problem.group), {})[key] = problem
        messages = []
        for (kind, group), problems in groups.items():
            last = self.spoke.get(f"{kind} {group}")
            if last is None or _past(last, PAUSE, now):
                text = _text(str(kind), list(problems.values()), ui)
                messages.append(Message(kind, group, list(problems), False, text))
        recovered: dict[tuple[Kind, str], dict[str, Problem]] = {}
        for key, problem in self.resolved.items():
            recovered.setdefault((problem.kind, problem.group), {})[key] = problem
        for (kind, group), problems in recovered.items():
            text = _text(f"Resolved: {kind.lower()}", list(problems.values()), "", brief=True)
            messages.append(Message(kind, group, list(problems), True, text))
        return messages

    def told(self, message: Message, now: datetime) -> None:
        """``message`` has arrived."""
        if message.resolved:
            for key in message.keys:
                del self.resolved[key]
            return
        for key in message.keys:
            self.open[key].told = now.isoformat()
        self.spoke = {name: at for name, at in self.spoke.items() if not _past(at, PAUSE, now)} | {
            f"{message.kind} {message.group}": now.isoformat()
        }


def _past(since: str, span: timedelta, now: datetime) -> bool:
    return now >= datetime.fromisoformat(since) + span


def _text(head: str, problems: Sequence[Problem], ui: str, *, brief: bool = False) -> str:
    """Slack's text: a line for what shares a subject, with its sessions, first error and link."""
    subjects: dict[str, list[Problem]] = {}
    for problem in problems:
        subjects.setdefault(problem.subject, []).append(problem)
    lines = []
    for subject, same in list(subjects.items())[:_LINES]:
        sessions = _sessions(same)
        line = f"*{_escaped(head)}* {_escaped(subject)}{_escaped(sessions)}"
        detail = next((problem.detail for problem in same if problem.detail), "")
        if detail and not brief:
            line += f": {_escaped(_cut(detail))}"
        if ui and same[-1].run:
            line += f" <{ui}/runs/{same[-1].run}|run {same[-1].run.split('-')[0]}>"
        lines.append(line)
    if len(subjects) > _LINES:
        lines.append(f"… and {len(subjects) - _LINES} more")
    return "\n".join(lines)


def _sessions(problems: Sequence[Problem]) -> str:
    days: list[date] = []
    others: list[str] = []
    for problem in problems:
        try:
            days.append(date.fromisoformat(problem.session))
        except ValueError:
            others += [" to ".join(problem.session.split())] if problem.session else []
    texts = [*([named(sorted(set(days)))] if days else []), *dict.fromkeys(others)]
    return f" of {_cut(', '.join(texts))}" if texts else ""


def _cut(text: str) -> str:
    return text if len(text) <= _DETAIL else f"{text[:_DETAIL]}…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
