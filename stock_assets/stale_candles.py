"""The sensor that keeps candles up: it asks the database which sessions are stale and requests
runs for them.

So candles follow every committed load: also in a run where other sessions failed (Dagster then
skips what is downstream), one of minute bars alone, and one after which the process died. What a
run under way covers is left to it. A session that a run did not refresh is tried again with growing
pauses, then given up until it is loaded again. One whose minute bars fail an error rule is left out
until they are loaded again and hold.
"""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from resources.calendar import seoul_now
from resources.databases import DatabaseError, TimescaleMaintainer
from stock_assets.partitions import contiguous, named

JOB = "candles_refresh"
_INTERVAL = 30
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (0, 2, 10, 60))
"""Before each try of the same refresh."""
_RANGES = 5
"""Runs that one tick may request."""
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Stale(Protocol):
    """A session of which assets are to be made anew."""

    @property
    def session(self) -> date: ...

    @property
    def ledger_id(self) -> int:
        """What it is to be made of."""
        ...

    @property
    def aggregates(self) -> tuple[str, ...]:
        """The assets."""
        ...

    @property
    def dropped(self) -> bool:
        """Whether there is nothing to make it of."""
        ...

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """The error rules that forbid it."""
        ...


@dataclass(frozen=True)
class Subject:
    """Whose stale sessions a plan is about: the job that makes them anew by itself, and what is
    said of sessions that have no partition, or were given up."""

    job: str
    no_partition: str
    given_up: str


CANDLES = Subject(
    JOB,
    "there is no such partition (MINUTE_BARS_FIRST_SESSION)",
    "materialise it by hand, or load its minute bars again",
)


@dataclass(frozen=True)
class RunUnderWay:
    """A run that has not ended: which assets it selects (None: those of its job), for which
    sessions, and whether it waits in the queue."""

    run_id: str
    job: str
    queued: bool
    assets: frozenset[str] | None
    first: str
    last: str

    def covers(self, stale: Stale, job: str) -> bool:
        selected = self.job == job if self.assets is None else self.assets & {*stale.aggregates}
        return bool(selected) and self.first <= str(stale.session) <= self.last


@dataclass(frozen=True)
class Try:
    """What was requested last for a session; kept in the sensor's cursor."""

    ledger_id: int
    aggregates: Sequence[str]
    tries: int
    at: str

    def was_in_vain(self, stale: Stale) -> bool:
        """Whether the session is as stale as it was: no new load, and nothing refreshed."""
        return (self.ledger_id, *self.aggregates) == (stale.ledger_id, *stale.aggregates)

    def next_at(self) -> datetime | None:
        """When it may be tried again; None: not any more."""
        if self.tries >= len(_PAUSES):
            return None
        return datetime.fromisoformat(self.at) + _PAUSES[self.tries]


@dataclass
class Plan:
    """What a tick does: the runs it requests, what it says, and what the next one must know."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    tries: dict[str, Try] = field(default_factory=dict)


def plan(
    stale: Sequence[Stale],
    keys: Container[str],
    runs: Sequence[RunUnderWay],
    tries: Mapping[str, Try],
    now: datetime,
    subject: Subject = CANDLES,
) -> Plan:
    """Decide for every stale session. ``keys`` are the partitions, ``tries`` what the last tick
    left."""
    result = Plan()
    result.tries = {
        key: tries[key]
        for session in stale
        if (key := str(session.session)) in tries and tries[key].was_in_vain(session)
    }
    put_off: dict[str, list[date]] = {}
    due: dict[tuple[str, ...], dict[date, Stale]] = {}
    for session in stale:
        reason = _put_off(session, keys, runs, result.tries, now, subject)
        if reason:
            put_off.setdefault(reason, []).append(session.session)
        else:
            due.setdefault(session.aggregates, {})[session.session] = session
    result.lines = [f"{reason}: {named(sessions)}." for reason, sessions in put_off.items()]
    # Sessions that lack the same aggregates share runs: one whose 5-minute candles fail must not
    # keep its neighbours' daily candles away again and again.
    ranges = [
        (aggregates, [session for day, session in sessions.items() if first <= day <= last])
        for aggregates, sessions in due.items()
        for first, last in contiguous(sessions)
    ]
    for aggregates, sessions in ranges[:_RANGES]:
        result.requests.append(_request(aggregates, sessions))
        days = named(session.session for session in sessions)
        result.lines.append(f"Requested {', '.join(aggregates)} of {days}.")
        for session in sessions:
            key = str(session.session)
            before = result.tries[key].tries if key in result.tries else 0
            result.tries[key] = Try(session.ledger_id, aggregates, before + 1, now.isoformat())
    if len(ranges) > _RANGES:
        result.lines.append("More is requested at the next tick.")
    return result


def _request(aggregates: Sequence[str], sessions: Sequence[Stale]) -> dg.RunRequest:
    return dg.RunRequest(
        asset_selection=[dg.AssetKey(name) for name in aggregates],
        tags={
            ASSET_PARTITION_RANGE_START_TAG: str(sessions[0].session),
            ASSET_PARTITION_RANGE_END_TAG: str(sessions[-1].session),
        },
    )


def _put_off(
    stale: Stale,
    keys: Container[str],
    runs: Sequence[RunUnderWay],
    tries: Mapping[str, Try],
    now: datetime,
    subject: Subject,
) -> str:
    """Why nothing is requested for a session now; empty if it is."""
    key = str(stale.session)
    if key not in keys:
        return f"Ignored, for {subject.no_partition}"
    if stale.dropped:
        return "Ignored, for their minute bars were dropped since"
    if stale.blocked_by:
        return (
            f"Blocked, for their minute bars fail {', '.join(stale.blocked_by)} (load them again)"
        )
    for run in runs:
        if run.covers(stale, subject.job):
            return f"Left to run {run.run_id}"
    for run in runs:
        if run.job == subject.job and run.queued:
            return f"Waiting for run {run.run_id}, which is queued"
    if key not in tries:
        return ""
    again = tries[key].next_at()
    if again is None:
        return f"Given up after {len(_PAUSES)} tries ({subject.given_up})"
    return f"Tried in vain, again at {again:%H:%M}" if now < again else ""


def runs_under_way(instance: dg.DagsterInstance) -> list[RunUnderWay]:
    """Every run that has not ended."""
    found = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)):
        only = run.tags.get(PARTITION_NAME_TAG, "")
        assets = run.asset_selection
        found.append(
            RunUnderWay(
                run_id=run.run_id.split("-")[0],
                job=run.job_name,
                queued=run.status is dg.DagsterRunStatus.QUEUED,
                assets=frozenset(key.to_user_string() for key in assets) if assets else None,
                first=run.tags.get(ASSET_PARTITION_RANGE_START_TAG, only),
                last=run.tags.get(ASSET_PARTITION_RANGE_END_TAG, only),
            )
        )
    return found


def stale_candles(candles: Sequence[dg.AssetsDefinition]) -> dg.SensorDefinition:
    """The sensor over ``candles``, which share their partitions."""
    partitions = candles[0].partitions_def
    assert partitions is not None  # noqa: S101 - candle_assets gives them some

    @dg.sensor(
        name="stale_candles",
        job=dg.define_asset_job(
            JOB, selection=list(candles), description="Candles of sessions that were loaded."
        ),
        minimum_interval_seconds=_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the candles of sessions whose minute bars were loaded since.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, timescaledb_maintainer: TimescaleMaintainer
    ) -> dg.SensorResult:
        from resources.refresh import check_server, stale_sessions

        # First the runs: what one of them refreshes meanwhile is left to it for this tick.
        runs = runs_under_way(context.instance)
        try:
            stale = stale_sessions(timescaledb_maintainer)
            if stale:
                check_server(timescaledb_maintainer)
        except DatabaseError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        tries = {key: Try(**value) for key, value in json.loads(context.cursor or "{}").items()}
        keys = set(partitions.get_partition_keys())
        decided = plan(stale, keys, runs, tries, seoul_now())
        if decided.requests:
            # A tick shows a reason only where it requests nothing; else its log says it.
            for line in decided.lines:
                context.log.info(line)
        text = " ".join(decided.lines) or "Every session's candles are as new as its minute bars."
        return dg.SensorResult(
            run_requests=decided.requests,
            skip_reason=None if decided.requests else text,
            cursor=json.dumps({key: asdict(value) for key, value in decided.tries.items()}),
        )

    return sensor
