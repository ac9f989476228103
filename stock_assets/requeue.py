"""The job ``requeue``: refused rows judged again, after a rule changed.

What became of each session is in the run's log, and as a table in the metadata of its output. Every
session that got rows is recorded as materialised, as after a load.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, field_validator

from resources.calendar import seoul_now
from resources.connections import Connectable, Databases
from resources.databases import DatabaseError
from resources.quarantine import quarantined_by_reason
from resources.tables import TABLES, Dataset
from stock_assets.record import materialization, record
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from dagster._core.definitions.job_definition import JobDefinition

    from resources.requeue import Requeued

_DESCRIPTION = """\
Judges rows in the quarantine again by the rules of today, and loads those that pass beside their
session's other rows, in the transaction that takes them out of the quarantine. What passes no rule,
or has its key in the table by now, stays, with why. Sessions whose load was refused as a whole are
named with the command that loads them. After a change of the source or its mapping, load the
session again instead: its refused rows are replaced then.
"""


class RequeueConfig(dg.Config):
    """Run config of ``requeue``."""

    dataset: str = Field(description=f"One of {', '.join(Dataset)}.")
    sessions: list[str] | None = Field(
        None, description="Only these sessions, such as 2025-01-02. Default: all with refused rows."
    )
    reason: str | None = Field(
        None,
        description="Only rows whose reason this regular expression finds, such as ^volume.",
    )
    dry_run: bool = Field(False, description="Change nothing, say what would be loaded.")

    @field_validator("dataset")
    @classmethod
    def _known(cls, dataset: str) -> str:
        if dataset not in list(Dataset):
            raise ValueError(f"dataset must be one of {', '.join(Dataset)}, not {dataset!r}")
        return dataset

    @field_validator("sessions")
    @classmethod
    def _dates(cls, sessions: list[str] | None) -> list[str] | None:
        for session in sessions or ():
            try:
                date.fromisoformat(session)
            except ValueError:
                raise ValueError(
                    f"a session is a date such as 2025-01-02, not {session!r}"
                ) from None
        return sessions

    @field_validator("reason")
    @classmethod
    def _pattern(cls, reason: str | None) -> str | None:
        try:
            re.compile(reason or "")
        except re.error as error:
            raise ValueError(f"reason is no regular expression: {error}") from None
        return reason


def requeue_job() -> "JobDefinition":
    """The job; it needs the two databases."""

    @dg.op(
        name="refused_rows",
        description=_DESCRIPTION,
        out=dg.Out(dg.Nothing),
        required_resource_keys={"timescaledb", "application_database"},
    )
    def requeue_rows(context: dg.OpExecutionContext, config: RequeueConfig) -> None:
        claim_run(context)
        dataset = Dataset(config.dataset)
        resources = context.resources
        with Databases.held(resources.timescaledb, resources.application_database) as databases:
            _requeue(context, config, dataset, databases.of(dataset))

    @dg.job(name="requeue", description=_DESCRIPTION)
    def requeue() -> None:
        requeue_rows()

    return requeue


def _requeue(
    context: dg.OpExecutionContext, config: RequeueConfig, dataset: Dataset, database: Connectable
) -> None:
    from resources.requeue import can_be_requeued, quarantined_sessions, requeue

    table = TABLES[dataset]
    if not can_be_requeued(table):
        raise dg.Failure(
            f"{dataset} is no table by symbol, so rows cannot be added to a session: load the "
            "session again, which replaces its refused rows",
            allow_retries=False,
        )
    named = (
        None if config.sessions is None else [date.fromisoformat(day) for day in config.sessions]
    )
    sessions = quarantined_sessions(database, dataset, named)
    pattern = None if config.reason is None else re.compile(config.reason)
    done: list[Requeued] = []
    failures: dict[date, str] = {}
    began = time.monotonic()
    for number, session in enumerate(sessions, start=1):
        try:
            result = requeue(
                database,
                table,
                session,
                run_id=context.run.run_id,
                now=seoul_now(),
                reason=pattern,
                dry_run=config.dry_run,
            )
        except DatabaseError as error:
            failures[session] = str(error)
            log, what = context.log.error, f"as it was: {error}"
        else:
            done.append(result)
            log, what = context.log.info, _said(result, config.dry_run)
            if not config.dry_run:
                _record(context, dataset, result, database)
        left = (time.monotonic() - began) / number * (len(sessions) - number)
        log(f"{session}: {what} [{number}/{len(sessions)} sessions, about {left:.0f} s left]")
    if not sessions:
        context.log.info(f"{dataset} has no refused rows of these sessions")
    metadata = _summary(done, config.dry_run)
    if failures:
        raise dg.Failure(
            f"{len(failures)} of {len(sessions)} sessions of {dataset} are as they were:\n"
            + "\n".join(f"{session}: {error}" for session, error in failures.items()),
            metadata=metadata,
            allow_retries=False,
        )
    context.add_output_metadata(metadata)


def _said(result: "Requeued", dry_run: bool) -> str:
    stay = "; ".join(f"{reason} ({rows:,})" for reason, rows in result.stay.most_common())
    return (
        f"{result.loaded:,} rows {'would be ' if dry_run else ''}loaded, {result.stays:,} stay"
        + (f": {stay}" if stay else "")
    )


def _record(
    context: dg.OpExecutionContext, dataset: Dataset, result: "Requeued", database: Connectable
) -> None:
    for commit in result.commits:
        left = quarantined_by_reason(database, dataset, result.session)
        commit = replace(commit, refused=left)
        said = {"dagster/partition_row_count": result.rows, "rows_requeued": commit.loaded}
        record(context, materialization(dg.AssetKey(dataset.value), commit, said))


def _summary(done: Sequence["Requeued"], dry_run: bool) -> Mapping[str, Any]:
    reasons: dict[str, int] = {}
    for result in done:
        for reason, rows in result.stay.items():
            reasons[reason] = reasons.get(reason, 0) + rows
    return {
        "dry_run": dry_run,
        "rows_loaded": sum(result.loaded for result in done),
        "rows_that_stay": sum(result.stays for result in done),
        "sessions": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "session": str(result.session),
                        "loaded": result.loaded,
                        "stay": result.stays,
                        "because": "; ".join(
                            f"{reason} ({rows:,})" for reason, rows in result.stay.most_common()
                        ),
                    }
                )
                for result in done
            ],
            schema=dg.TableSchema(
                columns=[
                    dg.TableColumn("session", "date"),
                    dg.TableColumn("loaded", "int"),
                    dg.TableColumn("stay", "int"),
                    dg.TableColumn("because", "string"),
                ]
            ),
        ),
        **{f"stay: {reason}": rows for reason, rows in sorted(reasons.items())},
    }
