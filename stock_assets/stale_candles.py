"""The sensor that keeps candles up: it asks the database which sessions are stale and requests
runs for them.

So candles follow every committed load: also in a run where other sessions failed (Dagster then
skips what is downstream), one of minute bars alone, and one after which the process died. What a
run under way covers is left to it. A session that a run did not refresh is tried again with growing
pauses, then given up until it is loaded again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from resources.calendar import seoul_now
from resources.databases import DatabaseError

if TYPE_CHECKING:
    from resources.refresh import StaleSession

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

    def covers(self, stale: "StaleSession") -> bool:
        selected = self.job == JOB if self.assets is None else self.assets & {*stale.aggregates}
        return bool(selected) and self.first <= str(stale.session) <= self.last


@dataclass(frozen=True)
class Try:
    """What was requested last for a session; kept in the sensor's cursor."""

    ledger_id: int
    aggregates: Sequence[str]
    tries: int
    at: str

    def was_in_vain(self, stale: "StaleSession") -> bool:
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
    stale: Sequence["StaleSession"],
    keys: Sequence[str],
    runs: Sequence[RunUnderWay],
    tries: Mapping[str, Try],
    now: datetime,
) -> Plan:
    """Decide for every stale session. ``keys`` are the partitions, in order; ``tries`` is what
    the last tick left."""
    result = Plan()
    result.tries = {
        key: tries[key]
        for session in stale
        if (key := str(session.session)) in tries and tries[key].was_in_vain(session)
    }
    put_off: dict[str, list[str]] = {}
    due: list[StaleSession] = []
    places = {key: place for place, key in enumerate(keys)}
    for session in stale:
        reason = _put_off(session, places, runs, result.tries, now)
        if reason:
            put_off.setdefault(reason, []).append(str(session.session))
        else:
            due.append(session)
    result.lines = [f"{reason}: {_named(sessions)}." for reason, sessions in put_off.items()]
    for count, sessions in enumerate(_ranges(due, places)):
        if count == _RANGES:
            result.lines.append("More is requested at the next tick.")
            break
        first, last = str(sessions[0].session), str(sessions[-1].session)
        assets = sessions[0].aggregates
        result.requests.append(
            dg.RunRequest(
                asset_selection=[dg.AssetKey(name) for name in assets],
                tags={ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last},
            )
        )
        names = _named([str(session.session) for session in sessions])
        result.lines.append(f"Requested {', '.join(assets)} of {names}.")
        for session in sessions:
            key = str(session.session)
            before = result.tries[key].tries if key in result.tries else 0
            result.tries[key] = Try(
                session.ledger_id, session.aggregates, before + 1, now.isoformat()
            )
    return result


def _put_off(
    stale: "StaleSession",
    places: Mapping[str, int],
    runs: Sequence[RunUnderWay],
    tries: Mapping[str, Try],
    now: datetime,
) -> str:
    """Why nothing is requested for a session now; empty if it is."""
    key = str(stale.session)
    if key not in places:
        return "Ignored, for there is no such partition (MINUTE_BARS_FIRST_SESSION)"
    if stale.dropped:
        return "Ignored, for their minute bars were dropped since"
    for run in runs:
        if run.covers(stale):
            return f"Left to run {run.run_id}"
    for run in runs:
        if run.job == JOB and run.queued:
            return f"Waiting for run {run.run_id}, which is queued"
    if key not in tries:
        return ""
    again = tries[key].next_at()
    if again is None:
        return (
            f"Given up after {len(_PAUSES)} tries (materialise it by hand, or load its minute "
            "bars again)"
        )
    return f"Tried in vain, again at {again:%H:%M}" if now < again else ""


def _ranges(
    due: Sequence["StaleSession"], places: Mapping[str, int]
) -> Iterator[list["StaleSession"]]:
    """Runs of neighbouring partitions that are stale in the same aggregates."""
    numbered = enumerate(due)
    for _, group in groupby(
        numbered, lambda item: (places[str(item[1].session)] - item[0], item[1].aggregates)
    ):
        yield [session for _, session in group]


def _named(sessions: Sequence[str]) -> str:
    if len(sessions) <= 3:
        return ", ".join(sessions)
    return f"{sessions[0]} to {sessions[-1]} ({len(sessions)} sessions)"


def _under_way(instance: dg.DagsterInstance) -> list[RunUnderWay]:
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
        required_resource_keys={"timescaledb_maintainer"},
        description="Refreshes the candles of sessions whose minute bars were loaded since.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from resources.refresh import check_server, stale_sessions

        maintainer = context.resources.timescaledb_maintainer
        # First the runs: what one of them refreshes meanwhile is left to it for this tick.
        runs = _under_way(context.instance)
        try:
            stale = stale_sessions(maintainer)
            if stale:
                check_server(maintainer)
        except DatabaseError as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        tries = {key: Try(**value) for key, value in json.loads(context.cursor or "{}").items()}
        keys = list(partitions.get_partition_keys())
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
