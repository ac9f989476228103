"""Asset checks: one per rule, evaluated once per session, in one step for all rules of an asset.

The step records each session's evaluations itself and yields bare outputs: so a range leaves one
evaluation per session and none for the range, and a session that fails does not keep its neighbours
from what follows. Blocking is by session and is done downstream (``resources.refresh``); the mark
``blocking`` on a check only orders: what follows in the run waits for the checks.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from pydantic import Field, field_validator

from resources.calendar import krx_calendar, seoul_now
from resources.checks.rules import RULES, Severity
from resources.connections import Databases
from resources.databases import DatabaseError
from resources.settings import MarketSettings, market_settings
from resources.tables import Dataset
from stock_assets.partitions import session_partitions
from stock_assets.record import record
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from resources.checks.results import Result

RESOURCES = frozenset({"timescaledb", "application_database"})
"""What checking a session needs."""


class CheckConfig(dg.Config):
    """Which sessions to check, for the launchpad: Dagster's UI cannot choose partitions of a check
    that runs alone. A run that has partitions needs none of it."""

    first: str | None = Field(None, description="First session to check, as in 2025-01-02.")
    last: str | None = Field(None, description="Last session to check. Default: the first.")

    @field_validator("first", "last")
    @classmethod
    def _dated(cls, day: str | None) -> str | None:
        if day is not None:
            date.fromisoformat(day)
        return day


_SEVERITY = {
    Severity.ERROR: dg.AssetCheckSeverity.ERROR,
    Severity.WARNING: dg.AssetCheckSeverity.WARN,
}


def session_checks(dataset: Dataset, settings: MarketSettings) -> dg.AssetChecksDefinition:
    """The checks of ``dataset``'s asset."""
    partitions = session_partitions(dataset, settings)
    specs = [
        dg.AssetCheckSpec(
            rule.name,
            asset=dataset.value,
            description=rule.description,
            blocking=rule.severity is Severity.ERROR,
            partitions_def=partitions,
            metadata={"severity": rule.severity.value},
        )
        for rule in RULES[dataset]
    ]

    @dg.multi_asset_check(
        name=f"{dataset}_checks",
        specs=specs,
        description=f"Every rule of {dataset}, session by session.",
        can_subset=True,
        required_resource_keys=set(RESOURCES),
    )
    def check(
        context: dg.AssetCheckExecutionContext, config: CheckConfig
    ) -> Iterator[dg.Output[None]]:
        op = context.op_execution_context
        selected = {key.name for key in op.selected_asset_check_keys}
        sessions = _sessions(op, config)
        resources = context.resources
        with Databases.held(resources.timescaledb, resources.application_database) as databases:
            _check_sessions(op, dataset, databases, selected, sessions)
        for spec in specs:
            if spec.name in selected:
                yield dg.Output(None, output_name=spec.get_python_identifier())

    return check


def _sessions(context: dg.OpExecutionContext, config: CheckConfig) -> list[date]:
    if config.first is not None:
        first, last = (
            date.fromisoformat(day) for day in (config.first, config.last or config.first)
        )
        sessions = [day for day in krx_calendar().sessions if first <= day <= last]
        if not sessions:
            raise dg.Failure(
                f"there is no KRX session from {first} to {last}: give others as first and last",
                allow_retries=False,
            )
        return sessions
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(
            "no session was named: give the run a partition or a range of them, or name the first "
            'session in its config, as in {"first": "2025-01-02", "last": "2025-01-10"}',
            allow_retries=False,
        )
    return [date.fromisoformat(key) for key in context.partition_keys]


def _check_sessions(
    context: dg.OpExecutionContext,
    dataset: Dataset,
    databases: Databases,
    selected: set[str],
    sessions: Sequence[date],
) -> None:
    """Check the run's sessions in order. Raises ``dagster.Failure`` with those that could not be
    checked, after the others have been."""
    from resources.checks.evaluation import NothingToCheckError

    claim_run(context)
    failures: dict[date, str] = {}
    began = time.monotonic()
    for done, session in enumerate(sessions, start=1):
        started = time.monotonic()
        log = context.log.info
        try:
            results = check_session(context, databases, dataset, session, selected)
        except NothingToCheckError as reason:
            what = f"not checked: {reason}"
        except DatabaseError as error:
            failures[session] = str(error)
            log, what = context.log.error, f"not checked: {error}"
        else:
            failed = [result for result in results if not result.passed]
            if any(result.blocks for result in failed):
                log = context.log.error
            elif failed:
                log = context.log.warning
            what = f"{verdict(results)} in {time.monotonic() - started:.2f} s"
        left = (time.monotonic() - began) / done * (len(sessions) - done)
        log(f"{session}: {what} [{done}/{len(sessions)} sessions, about {left:.0f} s left]")
    if failures:
        raise dg.Failure(
            f"{len(failures)} of {len(sessions)} sessions of {dataset} were not checked:\n"
            + "\n".join(f"{session}: {error}" for session, error in failures.items()),
            allow_retries=False,
        )


def check_session(
    context: dg.OpExecutionContext,
    databases: Databases,
    dataset: Dataset,
    session: date,
    selected: set[str] | None = None,
) -> "list[Result]":
    """Evaluate every rule for one session, keep what was found and record it: as evaluations of
    the ``selected`` checks (default: all). Raises ``NothingToCheckError`` and ``DatabaseError``."""
    from resources.checks.evaluation import evaluate
    from resources.checks.results import keep_results

    results = evaluate(
        databases,
        dataset,
        session,
        calendar=krx_calendar(),
        settings=market_settings(),
        now=seoul_now(),
    )
    target = _newest_materialization(context.instance, dataset, session)
    evaluations = [
        _evaluation(dataset, session, result, target)
        for result in results
        if selected is None or result.rule in selected
    ]
    record(context, *evaluations)
    # First the events, then the results: dying in between, the session is checked again.
    keep_results(databases.timescaledb, dataset, session, results, context.run.run_id)
    return results


def verdict(results: "Sequence[Result]") -> str:
    """What the rules found, in a line."""
    failed = [result for result in results if not result.passed]
    if not failed:
        return f"all {len(results)} rules hold"
    return "; ".join(
        f"{'fails' if result.blocks else 'warning:'} {result.rule} ({result.found:,})"
        for result in sorted(failed, key=lambda result: not result.blocks)
    )


def _evaluation(
    dataset: Dataset,
    session: date,
    result: "Result",
    target: AssetCheckEvaluationTargetMaterializationData | None,
) -> dg.AssetCheckEvaluation:
    if result.checked == 0:
        said = "Nothing to judge by yet"
    else:
        said = f"{result.found:,} of {result.checked:,}"
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(dataset.value),
        check_name=result.rule,
        passed=result.passed,
        severity=_SEVERITY[result.severity],
        partition=str(session),
        description=said,
        target_materialization_data=target,
        metadata=_metadata(result),
    )


def _metadata(result: "Result") -> dict[str, Any]:
    details = dict(result.details)
    examples = details.pop("examples", [])
    lacking = details.pop("lacking", [])
    said: dict[str, Any] = {
        "checked": result.checked,
        "found": result.found,
        "ledger_id": result.ledger_id,
    }
    for name, value in details.items():
        said[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    if lacking:
        said["lacking"] = ", ".join(f"{one['dataset']} of {one['session']}" for one in lacking)
    if examples:
        said["examples"] = dg.MetadataValue.md(_table(examples))
    return said


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    """A markdown table; cells come from sources, so nothing in them is markup."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(name)) for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return (
        f"`{text}`"
        if text and not set(text) & set("`|\n\r")
        else repr(text).strip("'").replace("|", "¦").replace("`", "'")
    )


def _newest_materialization(
    instance: dg.DagsterInstance, dataset: Dataset, session: date
) -> AssetCheckEvaluationTargetMaterializationData | None:
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(dataset.value), asset_partitions=[str(session)]), limit=1
    ).records
    if not found:
        return None
    return AssetCheckEvaluationTargetMaterializationData(
        storage_id=found[0].storage_id, run_id=found[0].run_id, timestamp=found[0].timestamp
    )
