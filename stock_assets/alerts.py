"""The sensor that tells a webhook what is wrong: failed runs, failed checks of severity error, and
stale assets.

It reads Dagster's events where the last tick stopped and keeps what it knows in its cursor, so that
nothing is lost while the webhook is away: what could not be told is told by a later tick. A message
may arrive twice where the process dies right after it was sent.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.events import DagsterEvent, JobFailureData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.utils import is_valid_run_id

from resources.calendar import SEOUL, seoul_now
from resources.redaction import redacted
from resources.settings import MarketSettings
from resources.webhook import VARIABLE, AlertError, AlertWebhook
from stock_assets.freshness import CHECK, KEYS
from stock_assets.problems import Kind, Problem, Problems

_KINDS = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
)
_BATCH = 1_000
_OVERLAP = 200
"""Ids below the newest one that are read again: an event may become visible after a later one."""
_SENDING = timedelta(seconds=20)
"""After which a tick begins no other message; Dagster gives it a minute."""
_UNDECIDED = timedelta(minutes=1)
"""For how long a failed run may be without a word on whether it is retried."""


def alerts_sensor(settings: MarketSettings) -> dg.SensorDefinition:
    """The sensor; off as long as no webhook is configured."""
    repeat = timedelta(hours=settings.alert_repeat)

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Tells {VARIABLE} of failed runs, failed checks of severity error and stale assets: "
            "each once, and once more when it is resolved."
        ),
    )
    def sensor(context: dg.SensorEvaluationContext, alert_webhook: AlertWebhook) -> dg.SensorResult:
        if alert_webhook.is_off:
            return dg.SensorResult(skip_reason=f"Off: {VARIABLE} is not set.", cursor="")
        problems = Problems.from_json(context.cursor)
        now = seoul_now()
        _read(context.instance, problems)
        problems.forget_old_runs(now, repeat)
        lines = _tell(context.instance, alert_webhook, problems, now, settings)
        untold = sum(not problem.told for problem in problems.open.values())
        lines.append(f"{len(problems.open)} problems, {untold} of them not told yet.")
        return dg.SensorResult(skip_reason="\n".join(lines), cursor=problems.to_json())

    return sensor


def _tell(
    instance: dg.DagsterInstance,
    webhook: AlertWebhook,
    problems: Problems,
    now: datetime,
    settings: MarketSettings,
) -> list[str]:
    """Send what is due, and say what was sent."""
    lines = []
    messages = problems.due(
        now,
        timedelta(hours=settings.alert_repeat),
        lambda problem: _is_over(instance, problem, now),
        settings.dagster_ui_url or "",
    )
    for sent, message in enumerate(messages):
        if seoul_now() - now > _SENDING:
            lines.append(f"{len(messages) - sent} messages wait for the next tick.")
            break
        try:
            webhook.send(redacted(message.text, [webhook.url]))
        except AlertError as error:
            lines.append(f"{error}; {len(messages) - sent} messages wait for the next tick.")
            break
        problems.told(message, now)
        lines.append(f"Told: {redacted(message.text.splitlines()[0], [webhook.url])}")
    return lines


def _read(instance: dg.DagsterInstance, problems: Problems) -> None:
    """Take in every event since the last tick. The first tick begins here and now: the past is not
    told, only what is stale."""
    storage = instance.event_log_storage
    if problems.after < 0:
        problems.after = storage.get_maximum_record_id() or 0
        newest = storage.get_latest_asset_check_execution_by_key([*KEYS.values()])
        for key in KEYS.values():
            record = newest.get(key)
            if record is not None and record.event is not None:
                _take_in(instance, problems, record.event)
        return
    position: int | None = problems.after
    seen = set(problems.seen)
    while position is not None:
        events, position = _events(instance, position)
        for number, entry in sorted(events.items()):
            if number not in seen:
                _take_in(instance, problems, entry)
                seen.add(number)
    problems.after = max(problems.after, max(seen, default=0) - _OVERLAP)
    problems.seen = sorted(number for number in seen if number > problems.after)


def _events(
    instance: dg.DagsterInstance, after: int
) -> tuple[dict[int, EventLogEntry], int | None]:
    """Events of all the kinds that matter, and up to which id they are complete; None: all are."""
    found: dict[int, EventLogEntry] = {}
    complete: list[int] = []
    for kind in _KINDS:
        events = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
            after_cursor=after, dagster_event_type=kind, limit=_BATCH
        )
        found |= events
        if len(events) == _BATCH:
            complete.append(max(events))
    if not complete:
        return found, None
    return {n: entry for n, entry in found.items() if n <= min(complete)}, min(complete)


def _take_in(instance: dg.DagsterInstance, problems: Problems, entry: EventLogEntry) -> None:
    event = entry.dagster_event
    if event is None:
        return
    if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        _take_in_check(problems, entry, event)
        return
    succeeded = event.event_type is dg.DagsterEventType.RUN_SUCCESS
    if succeeded and not any(problem.kind is Kind.RUN for problem in problems.open.values()):
        return
    run = instance.get_run_by_id(entry.run_id)
    if run is None:
        return
    subject, session = _subject(run), _session(run)
    key = f"run {run.job_name} {subject} {session}"
    root = run.root_run_id or run.run_id
    if succeeded:
        again = [other for other, problem in problems.open.items() if problem.root == root]
        for solved in {key, *again}:
            problems.solved(solved)
    elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
        problem = Problem(
            Kind.RUN,
            subject,
            group=f"{run.job_name} {subject}",
            session=session,
            detail=redacted(_reason(event)),
            run=run.run_id,
            root=root,
            at=_at(entry),
        )
        problems.failed(key, problem)


def _take_in_check(problems: Problems, entry: EventLogEntry, event: DagsterEvent) -> None:
    evaluation = event.event_specific_data
    if not isinstance(evaluation, dg.AssetCheckEvaluation):
        return
    asset = evaluation.asset_key.to_user_string()
    session = evaluation.partition or ""
    key = f"check {asset} {evaluation.check_name} {session}"
    if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
        problems.solved(key)
        return
    stale = evaluation.check_name == CHECK
    problem = Problem(
        Kind.STALE if stale else Kind.CHECK,
        asset if stale else f"{asset}: {evaluation.check_name}",
        # All that is stale is one message: it mostly has one cause.
        group="" if stale else asset,
        session=session,
        detail=redacted(evaluation.description or ""),
        # None where the sensor has reported it.
        run=entry.run_id if is_valid_run_id(entry.run_id) else "",
        at=_at(entry),
    )
    problems.failed(key, problem)


def _is_over(instance: dg.DagsterInstance, problem: Problem, now: datetime) -> bool:
    """Whether no more is to come: a run under way may find more of the same, and one that is
    retried speaks through its last try."""
    if not problem.run:
        return True
    run = instance.get_run_by_id(problem.run)
    if run is None:
        return True
    if problem.kind is not Kind.RUN:
        return problem.kind is Kind.STALE or run.is_finished
    retried = run.tags.get(WILL_RETRY_TAG)
    if retried is None and instance.run_retries_enabled:
        # Dagster says so right after the run's last event.
        return now - datetime.fromisoformat(problem.at) > _UNDECIDED
    return retried != "true"


def _subject(run: dg.DagsterRun) -> str:
    """What a run works on: its assets, else its job."""
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return ", ".join(assets) or run.job_name


def _session(run: dg.DagsterRun) -> str:
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first and last and first != last:
        return f"{first} {last}"
    return first or run.tags.get(PARTITION_NAME_TAG, "")


def _reason(event: DagsterEvent) -> str:
    """Why a run failed, in the words of whoever said it."""
    data = event.event_specific_data
    if not isinstance(data, JobFailureData):
        return event.message or ""
    texts = [*_step_texts(data.first_step_failure_event)]
    if not texts and data.error is not None:
        texts = [data.error.message]
    return " ".join((next(iter(texts), "") or event.message or "").split())


def _step_texts(step: DagsterEvent | None) -> Iterator[str]:
    if step is None:
        return
    failure = step.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        yield failure.user_failure_data.description
    chain: Sequence[str] = [
        error.message for error in (failure.error and failure.error.cause, failure.error) if error
    ]
    yield from chain


def _at(entry: EventLogEntry) -> str:
    return datetime.fromtimestamp(entry.timestamp, SEOUL).isoformat()
