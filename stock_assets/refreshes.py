"""A run over one session or a range of them of an aggregate, in one process.

Each session is refreshed and recorded as materialised before the next one begins. A session that
was never loaded is left out, and so is one whose minute bars fail a rule of severity error; minute
bars that no check has seen are checked first. A session that fails does not stop the others, and
the run fails at the end with the list.
"""

import time
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from resources.aggregates import Aggregate
from resources.connections import Databases
from resources.databases import DatabaseError, TimescaleMaintainer
from resources.tables import Dataset
from stock_assets.checks import check_session, verdict
from stock_assets.record import ALREADY_RECORDED, record
from stock_assets.server import SERVER, server_or_failure
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from resources.edition import Server
    from resources.refresh import Refreshed


def refresh_sessions(
    context: dg.AssetExecutionContext, aggregate: Aggregate, maintainer: TimescaleMaintainer
) -> Iterator[dg.Output[None]]:
    """Refresh the run's sessions in order. Raises ``dagster.Failure`` with the sessions that
    failed, after the others have been refreshed."""
    from resources.refresh import NothingToRefreshError, check_server, record_refresh

    claim_run(context)
    server = server_or_failure(check_server, maintainer)
    context.log.info(f"refreshing {aggregate.name} on {server}")
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    failures: dict[date, str] = {}
    began = time.monotonic()
    for done, session in enumerate(sessions, start=1):
        started = time.monotonic()
        try:
            refreshed = _refresh(context, aggregate, maintainer, server, session)
            seconds = time.monotonic() - started
            # First the event, then the record: dying in between, the session is refreshed again.
            record(
                context,
                dg.AssetMaterialization(
                    context.asset_key,
                    partition=str(session),
                    metadata={
                        "dagster/partition_row_count": refreshed.rows,
                        "ledger_id": refreshed.ledger_id,
                        SERVER: str(server),
                        "seconds": round(seconds, 3),
                    },
                ),
            )
            record_refresh(maintainer, refreshed, context.run.run_id)
        except NothingToRefreshError as reason:
            record(
                context,
                dg.AssetObservation(
                    context.asset_key,
                    partition=str(session),
                    description=f"Nothing was refreshed: {reason}.",
                ),
            )
            log, what = context.log.warning, f"left out: {reason}"
        except DatabaseError as error:
            failures[session] = str(error)
            log, what = context.log.error, f"not refreshed: {error}"
        else:
            log, what = context.log.info, f"{refreshed.rows:,} rows in {seconds:.2f} s"
        left = (time.monotonic() - began) / done * (len(sessions) - done)
        log(f"{session}: {what} [{done}/{len(sessions)} sessions, about {left:.0f} s left]")
    if failures:
        raise dg.Failure(
            f"{len(failures)} of {len(sessions)} sessions of {aggregate.name} were not "
            "refreshed:\n"
            + "\n".join(f"{session}: {error}" for session, error in failures.items()),
            allow_retries=False,
        )
    yield dg.Output(None, metadata=ALREADY_RECORDED)


def _refresh(
    context: dg.AssetExecutionContext,
    aggregate: Aggregate,
    maintainer: TimescaleMaintainer,
    server: "Server",
    session: date,
) -> "Refreshed":
    """Refresh one session, once it is checked. Raises what ``resources.refresh.refresh`` does."""
    from resources.refresh import UncheckedError, refresh

    try:
        return refresh(maintainer, server, aggregate, session, only_checked=True)
    except UncheckedError:
        resources = context.resources
        with Databases.held(resources.timescaledb, resources.application_database) as databases:
            results = check_session(
                context.op_execution_context, databases, Dataset.MINUTE_BARS, session
            )
        context.log.info(f"{session}: its minute bars are checked first: {verdict(results)}")
        return refresh(maintainer, server, aggregate, session, only_checked=True)
