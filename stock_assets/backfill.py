"""A run over one session or a range of them, in one process.

Each session is loaded, committed and recorded as materialised before the next one begins, so a
run that dies half-way keeps the half it finished. A session that fails does not stop the others;
the run fails at the end with the list.
"""

import re
import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from pydantic import Field, field_validator

from resources.calendar import krx_calendar, seoul_now
from resources.databases import Database, LoginError
from resources.settings import market_settings
from resources.sources import MarketSource
from resources.standing import Standing, may_load, standing
from resources.tables import SYMBOL_PATTERN, TABLES, Dataset

if TYPE_CHECKING:
    from resources.loading import Attempt, Loaded

# Dagster would record every partition of the range once more when the step ends: sessions that
# were not loaded too, and the others without their counts. Output that carries this mark records
# nothing and still lets downstream assets of the run go on. It is Dagster's own and private; a
# pipeline test fails should it change its meaning.
_ALREADY_RECORDED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}


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
    from resources.ingestion import IngestionError, ingest
    from resources.loading import Attempt

    settings, calendar, table = market_settings(), krx_calendar(), TABLES[dataset]
    symbols = None if config.symbols is None else tuple(config.symbols)
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    progress = _Progress(context, len(sessions))
    failures: dict[date, str] = {}
    for session in sessions:
        now = seoul_now()
        stands = standing(calendar, session, settings.final_time(dataset), now)
        if not may_load(dataset, stands):
            progress.left_out(session, stands.value)
            continue
        attempt = Attempt(
            table=table,
            session=session,
            symbols=symbols,
            run_id=context.run.run_id,
            source=source.name,
            simulated=source.simulated,
            provisional=stands is not Standing.FINAL,
            started_at=now,
        )
        try:
            loaded = ingest(
                source,
                database,
                attempt,
                source_timeout=settings.source_timeout,
                now=now,
                allow_shrink=config.allow_shrink,
                allow_source_change=config.allow_source_change,
            )
        except IngestionError as error:
            failures[session] = str(error)
            progress.failed(session, str(error))
            if isinstance(error.__cause__, LoginError):
                break
        else:
            progress.committed(attempt, loaded)
    if failures:
        lines = [f"{session}: {error}" for session, error in failures.items()]
        if untried := progress.left:
            lines.append(f"and {untried} that were not tried")
        raise dg.Failure(
            f"{len(failures) + untried} of {len(sessions)} sessions of {dataset} were not loaded:\n"
            + "\n".join(lines),
            allow_retries=False,
        )
    yield dg.Output(None, metadata=_ALREADY_RECORDED)


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

    def committed(self, attempt: "Attempt", loaded: "Loaded") -> None:
        seconds = self._advance(loaded.loaded)
        metadata: dict[str, dg.MetadataValue | int | float | str | bool | list[str]] = {
            "dagster/partition_row_count": loaded.loaded,
            "rows_replaced": loaded.replaced,
            "rows_quarantined": loaded.quarantined,
            "source": attempt.source,
            "simulated": attempt.simulated,
            "provisional": attempt.provisional,
            "checksum": f"{loaded.checksum & (2**64 - 1):016x}",
            "seconds": round(seconds, 3),
        }
        if attempt.symbols is not None:
            metadata["symbols"] = list(attempt.symbols)
        self._context.log_event(
            dg.AssetMaterialization(
                self._context.asset_key, partition=str(attempt.session), metadata=metadata
            )
        )
        self._tell(
            self._context.log.info,
            attempt.session,
            f"{loaded.loaded:,} rows loaded, {loaded.replaced:,} replaced, "
            f"{loaded.quarantined:,} quarantined in {seconds:.2f} s",
        )

    def left_out(self, session: date, reason: str) -> None:
        self._advance(0)
        self._context.log_event(
            dg.AssetObservation(
                self._context.asset_key,
                partition=str(session),
                description=f"The session {reason}; nothing was loaded.",
            )
        )
        self._tell(self._context.log.warning, session, f"left out: the session {reason}")

    def failed(self, session: date, error: str) -> None:
        self._advance(0)
        self._tell(self._context.log.error, session, f"not loaded: {error}")

    def _advance(self, rows: int) -> float:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self._done += 1
        self._rows += rows
        return seconds

    def _tell(self, log: Callable[[str], None], session: date, what: str) -> None:
        elapsed = max(self._last - self._began, 1e-3)
        left = elapsed / self._done * self.left
        log(
            f"{session}: {what} "
            f"[{self._done}/{self._sessions} sessions, {self._rows / elapsed:,.0f} rows/s, "
            f"about {left:.0f} s left]"
        )
