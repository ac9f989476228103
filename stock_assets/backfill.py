"""A run over one session or a range of them, in one process.

Each session is loaded, committed and recorded as materialised before the next one is, so a run
that dies half-way keeps the half it finished; while the server writes one, the next one is already
fetched and judged. A session that fails does not stop the others; the run fails at the end with the
list. A run that Dagster retries by itself, because its worker died, goes on where the dead one
stopped.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import RETRY_NUMBER_TAG
from pydantic import Field, field_validator

from resources.ahead import Ahead
from resources.calendar import krx_calendar, seoul_now
from resources.connections import Connectable, held
from resources.databases import Database, LoginError
from resources.ledger import Commit, committed_by, newest_commits
from resources.settings import market_settings
from resources.sources import MarketSource
from resources.standing import Standing, may_load, standing
from resources.tables import SYMBOL_PATTERN, TABLES, Dataset
from stock_assets.record import ALREADY_RECORDED, materialization, record
from stock_assets.tables import metadata_table, refused_by_reason
from stock_assets.workers import claim_run

if TYPE_CHECKING:
    from resources.ingestion import Prepared


class LoadConfig(dg.Config):
    """Run config of every asset that loads sessions."""

    symbols: list[str] | None = Field(
        None, description="Load only these symbols and leave the others' rows alone. Default: all."
    )
    allow_shrink: bool = Field(
        False, description="Load even if fewer than 90 % of the rows it replaces come back."
    )
    allow_source_change: bool = Field(
        False, description="Let simulated rows replace real ones, or real ones simulated ones."
    )
    confirm_only: bool = Field(
        False,
        description="Load nothing: fail where the ledger has no commit of a session. Asked for by "
        "the healing of records.",
    )

    @field_validator("symbols")
    @classmethod
    def _named(cls, symbols: list[str] | None) -> list[str] | None:
        if symbols is None:
            return None
        if not symbols or not all(re.fullmatch(SYMBOL_PATTERN, code) for code in symbols):
            raise ValueError(
                f"symbols must name at least one KRX code of 6 letters or digits, not {symbols}"
            )
        return sorted(set(symbols))


def load_sessions(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    dataset: Dataset,
    source: MarketSource,
    database: Database,
) -> Iterator[dg.Output[None]]:
    """Load the run's sessions in order. Raises ``dagster.Failure`` with the sessions that failed,
    after the others have been loaded; at once where the database will let none of them in."""
    claim_run(context)
    with held(database) as connection:
        if config.confirm_only:
            _confirm(context, dataset, connection)
        else:
            _load(context, config, dataset, source, connection)
    yield dg.Output(None, metadata=ALREADY_RECORDED)


def _load(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    dataset: Dataset,
    source: MarketSource,
    database: Connectable,
) -> None:
    from resources.ingestion import IngestionError, commit

    if config.symbols is not None and not TABLES[dataset].by_symbol:
        raise dg.Failure(
            f"{dataset} has no symbols to choose from, a row is a whole market's: leave symbols "
            "out of its run config",
            allow_retries=False,
        )
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    progress = _Progress(context, len(sessions))
    failures: dict[date, str] = {}
    refused: dict[date, Mapping[str, int]] = {}
    prepare = _preparation(context, config, dataset, source, database)
    # After a worker's death one at a time: of what killed it only its own session is lost.
    retried = RETRY_NUMBER_TAG in context.run.tags
    ahead = Ahead(sessions, prepare)
    for session, prepared in ahead:
        if prepared is None:
            progress.went_before(session)
            continue
        if isinstance(prepared, Standing):
            progress.left_out(session, prepared.value)
            continue
        try:
            committed = commit(
                database,
                prepared,
                allow_shrink=config.allow_shrink,
                allow_source_change=config.allow_source_change,
                meanwhile=(lambda: None) if retried else ahead.begin,
            )
        except IngestionError as error:
            failures[session] = str(error)
            refused[session] = error.refused
            progress.failed(session, str(error), error.refused)
            if isinstance(error.__cause__, LoginError):
                break
        else:
            progress.committed(committed)
    if failures:
        lines = [f"{session}: {error}" for session, error in failures.items()]
        if untried := progress.left:
            lines.append(f"and {untried} that were not tried")
        raise dg.Failure(
            f"{len(failures) + untried} of {len(sessions)} sessions of {dataset} were not loaded:\n"
            + "\n".join(lines),
            metadata=_refused(refused),
            allow_retries=False,
        )


def _preparation(
    context: dg.AssetExecutionContext,
    config: LoadConfig,
    dataset: Dataset,
    source: MarketSource,
    database: Connectable,
) -> "Callable[[date], Prepared | Standing | None]":
    """What is done about a session without the database: it was committed before (None), it may
    not be loaded yet, or it is fetched and judged. May be called by another thread."""
    from resources.ingestion import prepare
    from resources.loading import Attempt

    settings, calendar = market_settings(), krx_calendar()
    symbols = None if config.symbols is None else tuple(config.symbols)
    loaded_before = _loaded_before(context, dataset, database)

    def preparation(session: date) -> "Prepared | Standing | None":
        if session in loaded_before:
            return None
        now = seoul_now()
        stands = standing(calendar, session, settings.final_time(dataset), now)
        if not may_load(dataset, stands):
            return stands
        attempt = Attempt(
            table=TABLES[dataset],
            session=session,
            symbols=symbols,
            run_id=context.run.run_id,
            source=source.name,
            simulated=source.simulated,
            provisional=stands is not Standing.FINAL,
            started_at=now,
        )
        return prepare(source, attempt, source_timeout=settings.source_timeout, now=now)

    return preparation


def _refused(refused: Mapping[date, Mapping[str, int]]) -> dict[str, dg.TableMetadataValue]:
    """Refused rows of the sessions that failed, by reason."""
    rows = [
        (str(session), reason, count)
        for session, reasons in refused.items()
        for reason, count in reasons.items()
    ]
    return {"refused": metadata_table(["session", "reason", "rows"], rows)} if rows else {}


def _loaded_before(
    context: dg.AssetExecutionContext, dataset: Dataset, database: Connectable
) -> set[date]:
    """The sessions that this run has committed already, in a worker that died."""
    # Whoever runs it again by hand wants all of it again.
    if RETRY_NUMBER_TAG not in context.run.tags:
        return set()
    group = context.instance.get_run_group(context.run.run_id)
    if group is None:
        return set()
    tried = [run.run_id for run in group[1] if run.run_id != context.run.run_id]
    return committed_by(database, dataset, tried)


def _confirm(context: dg.AssetExecutionContext, dataset: Dataset, database: Connectable) -> None:
    there = {str(session) for session in newest_commits(database, dataset)}
    missing = [key for key in context.partition_keys if key not in there]
    if missing:
        raise dg.Failure(
            f"{', '.join(missing)} of {dataset} {'is' if len(missing) == 1 else 'are'} recorded as "
            f"loaded, but the ledger in {database.address} has no such commit: load again",
            allow_retries=False,
        )


class _Progress:
    """Tells the run's log, and Dagster's record of the asset, what became of each session."""

    def __init__(self, context: dg.AssetExecutionContext, sessions: int) -> None:
        self._context = context
        self._sessions = sessions
        self._done = 0
        self._rows = 0
        self._began = self._last = time.monotonic()

    @property
    def left(self) -> int:
        """Sessions that nothing has been said of."""
        return self._sessions - self._done

    def committed(self, commit: Commit) -> None:
        seconds = self._advance(commit.loaded)
        metadata = {"seconds": round(seconds, 3)}
        self._tell(
            self._context.log.info,
            commit.session,
            f"{commit.loaded:,} rows loaded, {commit.replaced:,} replaced, "
            f"{commit.quarantined:,} quarantined in {seconds:.2f} s",
            materialization(self._context.asset_key, commit, metadata),
        )

    def went_before(self, session: date) -> None:
        self._advance(0)
        self._tell(self._context.log.info, session, "committed before the run's worker died")

    def left_out(self, session: date, reason: str) -> None:
        self._advance(0)
        observed = dg.AssetObservation(
            self._context.asset_key,
            partition=str(session),
            description=f"The session {reason}; nothing was loaded.",
        )
        self._tell(self._context.log.warning, session, f"left out: the session {reason}", observed)

    def failed(self, session: date, error: str, refused: Mapping[str, int]) -> None:
        self._advance(0)
        observed = dg.AssetObservation(
            self._context.asset_key,
            partition=str(session),
            description=f"Not loaded: {error}",
            metadata=refused_by_reason(refused),
        )
        events = [observed] if refused else []
        self._tell(self._context.log.error, session, f"not loaded: {error}", *events)

    def _advance(self, rows: int) -> float:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._done += 1
        self._rows += rows
        return seconds

    def _tell(
        self,
        log: Callable[[str], None],
        session: date,
        what: str,
        *events: dg.AssetMaterialization | dg.AssetObservation,
    ) -> None:
        elapsed = max(self._last - self._began, 1e-3)
        left = elapsed / self._done * self.left
        line = (
            f"{session}: {what} "
            f"[{self._done}/{self._sessions} sessions, {self._rows / elapsed:,.0f} rows/s, "
            f"about {left:.0f} s left]"
        )
        record(self._context, *events, say=lambda: log(line))
