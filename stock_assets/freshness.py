"""The check ``fresh`` of every asset that is collected, and the sensor that keeps it up to date.

Dagster's own freshness policies look at when an asset was last materialised, whatever partition
that was: a backfill of old sessions is fresh to them, and holidays are stale. So this is a check:
it asks ``resources.freshness``. The sensor evaluates it all the time, and reports an evaluation
only where the answer is another one than Dagster has.

What nobody collects is not judged: its check stays without an evaluation.
"""

from collections.abc import Iterator, Mapping

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType

from resources.calendar import krx_calendar, seoul_now
from resources.connections import Connectable, Databases
from resources.databases import ApplicationDatabase, Database, DatabaseError, TimescaleDB
from resources.freshness import Freshness, Watched, freshness
from resources.settings import MarketSettings
from resources.tables import Dataset

CHECK = "fresh"
KEYS = {watched: dg.AssetCheckKey(dg.AssetKey(watched.value), CHECK) for watched in Watched}
_DESCRIPTION = """\
Whether the newest session that should be there by now was loaded whole, when it was final.
Closed days ask for nothing, and a backfill of old sessions does not help. Not evaluated while the
schedule that collects it is off.
"""


def freshness_checks(settings: MarketSettings) -> list[dg.AssetChecksDefinition]:
    """A check per asset; evaluated on demand, after each load, and by the sensor."""
    return [_check(watched, settings) for watched in Watched]


def _check(watched: Watched, settings: MarketSettings) -> dg.AssetChecksDefinition:
    resource = watched.database
    spec = dg.AssetCheckSpec(CHECK, asset=watched.value, description=_DESCRIPTION)

    # can_subset: then it may also stay without an evaluation.
    @dg.multi_asset_check(
        name=f"{watched.value}_fresh",
        specs=[spec],
        can_subset=True,
        required_resource_keys={resource},
    )
    def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        if not collected(context.instance, settings)[watched.dataset]:
            context.log.info(_not_collected(watched))
            return
        database: Database = getattr(context.resources, resource)
        try:
            evaluation = evaluate(watched, database, settings)
        except DatabaseError as error:
            # What was loaded is loaded: the run does not fail because it cannot be judged now.
            yield dg.AssetCheckResult(
                passed=False,
                asset_key=watched.value,
                check_name=CHECK,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"Not known: {error}",
            )
            return
        yield dg.AssetCheckResult(
            passed=evaluation.passed,
            asset_key=watched.value,
            check_name=CHECK,
            severity=evaluation.severity,
            description=evaluation.description,
            metadata=evaluation.metadata,
        )

    return check


def evaluate(
    watched: Watched, database: Connectable, settings: MarketSettings
) -> dg.AssetCheckEvaluation:
    """The check's answer now. Raises ``DatabaseError``."""
    return _evaluation(watched, freshness(watched, database, krx_calendar(), settings, seoul_now()))


def _evaluation(watched: Watched, found: Freshness | None) -> dg.AssetCheckEvaluation:
    key = KEYS[watched]
    if found is None:
        return dg.AssetCheckEvaluation(
            key.asset_key, key.name, passed=True, description="Its first session is not due yet."
        )
    metadata: dict[str, str] = {
        "due": str(found.due),
        "due_at": f"{found.since:%Y-%m-%d %H:%M}",
        "newest": str(found.newest or "none"),
    }
    return dg.AssetCheckEvaluation(
        key.asset_key,
        key.name,
        passed=found.is_fresh,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(found),
        metadata=metadata,
    )


def collected(instance: dg.DagsterInstance, settings: MarketSettings) -> Mapping[Dataset, bool]:
    """Whether each dataset's collection is switched on: in the UI, else in code."""
    states = {
        state.instigator_name: state.status
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        if state.status is not InstigatorStatus.DECLARED_IN_CODE
    }
    unasked = InstigatorStatus.RUNNING if settings.collects_unasked else InstigatorStatus.STOPPED
    return {
        dataset: states.get(f"{dataset}_collection", unasked) is InstigatorStatus.RUNNING
        for dataset in Dataset
    }


def _not_collected(watched: Watched) -> str:
    return f"{watched.value} is not judged: the schedule {watched.dataset}_collection is off."


def freshness_sensor(settings: MarketSettings) -> dg.SensorDefinition:
    """The sensor that evaluates the checks."""

    @dg.sensor(
        name="freshness",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Evaluates the check fresh of each asset, and reports it where it changed.",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        timescaledb: TimescaleDB,
        application_database: ApplicationDatabase,
    ) -> dg.SensorResult:
        known = _known(context.instance)
        on = collected(context.instance, settings)
        lines: list[str] = []
        events: list[dg.AssetCheckEvaluation] = []
        with Databases.held(timescaledb, application_database) as databases:
            for watched in Watched:
                if not on[watched.dataset]:
                    lines.append(_not_collected(watched))
                    events += _no_longer(watched, known.get(watched))
                    continue
                try:
                    evaluation = evaluate(watched, databases.of(watched.dataset), settings)
                except DatabaseError as error:
                    lines.append(f"{watched.value} is not known: {error}")
                    continue
                if not evaluation.passed:
                    lines.append(f"{watched.value} is stale: {evaluation.description}")
                if not _same(evaluation, known.get(watched)):
                    events.append(evaluation)
        text = "\n".join(lines) or "Every asset is fresh."
        return dg.SensorResult(skip_reason=text, asset_events=events)

    return sensor


def _known(instance: dg.DagsterInstance) -> dict[Watched, dg.AssetCheckEvaluation]:
    """The newest evaluations that Dagster has; none of a check that a run is about to evaluate."""
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key([*KEYS.values()])
    return {
        watched: record.evaluation
        for watched, key in KEYS.items()
        if (record := newest.get(key)) is not None
        and isinstance(record.evaluation, dg.AssetCheckEvaluation)
    }


def _same(new: dg.AssetCheckEvaluation, known: dg.AssetCheckEvaluation | None) -> bool:
    return known is not None and (new.passed, new.severity, new.description) == (
        known.passed,
        known.severity,
        known.description,
    )


def _no_longer(
    watched: Watched, known: dg.AssetCheckEvaluation | None
) -> Iterator[dg.AssetCheckEvaluation]:
    """An alarm does not stand for ever once nobody collects: it becomes a warning."""
    if known is None or known.passed or known.severity is dg.AssetCheckSeverity.WARN:
        return
    key = KEYS[watched]
    yield dg.AssetCheckEvaluation(
        key.asset_key,
        key.name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{_not_collected(watched)} When it was: {known.description}",
    )
