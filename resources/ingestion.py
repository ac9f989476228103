"""One session from source to table: fetch, validate, decide, load, and leave a trace.

This is the loading contract. ``standing`` says whether a session may be loaded yet, ``validation``
judges rows, ``loading`` writes; here it is decided whether what came may be written. A session is
prepared without the database and then committed, so that the next one can be prepared meanwhile.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from resources.canonical import CanonicalError, canonical, checksum
from resources.connections import Connectable
from resources.databases import DatabaseError, persistently
from resources.documents import storable
from resources.ledger import Commit
from resources.loading import (
    Attempt,
    LoadRefusedError,
    Refused,
    load,
    record_attempt,
)
from resources.quarantine import by_reason
from resources.sources import MarketSource, SourceError, SourceUnavailableError
from resources.typed import filled
from resources.validation import ColumnsError, require_columns, split
from resources.watchdog import watchdog

if TYPE_CHECKING:
    import pandas as pd

_REFUSED_SHARE = 0.01
_REFUSED_ROWS = 5
_ERROR_LENGTH = 2_000
_MANY_ROWS = 50_000


class IngestionError(Exception):
    """The session was not loaded and its table is as it was; the text says why. Its cause is the
    error that did it; ``refused`` are the rows that validation refused, by reason."""

    def __init__(self, text: str, refused: Mapping[str, int]) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True)
class Prepared:
    """A session that was fetched and judged: rows that may be written, or why there are none."""

    attempt: Attempt
    rows: pa.Table | None
    total: int
    """The checksum of the rows."""
    refused: Refused
    error: Exception | None = None


def ingest(
    source: MarketSource,
    database: Connectable,
    attempt: Attempt,
    *,
    source_timeout: float,
    now: datetime,
    allow_shrink: bool = False,
    allow_source_change: bool = False,
) -> Commit:
    """Load ``attempt``'s session: ``prepare`` and ``commit`` in one."""
    return commit(
        database,
        prepare(source, attempt, source_timeout=source_timeout, now=now),
        allow_shrink=allow_shrink,
        allow_source_change=allow_source_change,
    )


def prepare(
    source: MarketSource, attempt: Attempt, *, source_timeout: float, now: datetime
) -> Prepared:
    """Fetch and judge ``attempt``'s session. ``source_timeout`` is in seconds; ``now`` has a zone.
    Raises nothing: what went wrong is for ``commit`` to record."""
    refused = Refused()
    try:
        frame = _fetch(source, attempt, source_timeout)
        size = len(frame)
        _give_back_memory(size)
        _require_rows(frame, attempt)
        judged = split(frame, attempt.table, attempt.session, now)
        if judged.reasons:
            refused = Refused(judged.refused, judged.reasons)
        _refuse_too_many(size, refused)
        good = judged.good
        # What came is as large as what is made of it, and the next session may come meanwhile.
        del frame, judged
        _give_back_memory(size)
        rows = canonical(good, attempt.table)
        return Prepared(attempt, rows, checksum(rows), refused)
    except Exception as error:
        return Prepared(attempt, None, 0, refused, error)


def _give_back_memory(rows: int) -> None:
    """Arrow and the C library keep what is free again: by now as much as a session's rows."""
    # For a few rows, doing without it costs more than it is.
    if rows < _MANY_ROWS:
        return
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()


def commit(
    database: Connectable,
    prepared: Prepared,
    *,
    allow_shrink: bool = False,
    allow_source_change: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
) -> Commit:
    """Load a session; return once it is committed. What may be allowed, and ``meanwhile``, are
    ``load``'s.

    Raises ``IngestionError`` when it was not loaded: the attempt is then in the ledger and its
    refused rows in the quarantine, unless the database could not be reached, which the text says.
    """
    attempt, refused = prepared.attempt, prepared.refused
    outcome: Literal["refused", "failed"] = "failed"
    cause: Exception
    try:
        if prepared.error is not None:
            raise prepared.error
        assert prepared.rows is not None  # noqa: S101 - rows or an error, never neither
        return persistently(load)(
            database,
            attempt,
            prepared.rows,
            prepared.total,
            refused,
            allow_shrink=allow_shrink,
            allow_source_change=allow_source_change,
            meanwhile=meanwhile,
        )
    except LoadRefusedError as error:
        outcome, text, cause = "refused", str(error), error
    except _EXPLAINED as error:
        text, cause = str(error), error
    except Exception as error:
        # A defect, the source's or ours: the run's stderr shows where.
        logging.getLogger(__name__).exception("%s of %s", attempt.table.dataset, attempt.session)
        text, cause = f"{type(error).__name__}: {error}", error
    text = storable(" ".join(text.split()))[:_ERROR_LENGTH]
    try:
        persistently(record_attempt)(database, attempt, outcome, text, refused)
    except DatabaseError as unrecorded:
        reason = "" if str(unrecorded) == text else f": {unrecorded}"
        text = f"{text} (and the attempt is not in the ledger{reason})"
    raise IngestionError(text, by_reason(refused.reasons)) from cause


_EXPLAINED = (SourceError, ColumnsError, CanonicalError, DatabaseError)


@retry(
    retry=retry_if_exception_type(SourceUnavailableError),
    stop=stop_after_attempt(3),
    wait=wait_exponential_jitter(multiplier=2, max=30),
    reraise=True,
)
def _fetch(source: MarketSource, attempt: Attempt, timeout: float) -> "pd.DataFrame":
    """Ask the source in a thread of its own: one that hangs must not hold the run for ever, and
    a thread that cannot be stopped must not keep the process alive. Code that hangs without
    letting go of the interpreter stops every thread; then the process ends, and says where."""
    answers: queue.SimpleQueue[pd.DataFrame | BaseException] = queue.SimpleQueue()
    ask = getattr(source, attempt.table.dataset.value)

    def work() -> None:
        try:
            answers.put(ask(attempt.session, attempt.symbols))
        except BaseException as error:
            answers.put(error)

    with watchdog(2 * timeout):
        threading.Thread(target=work, name=f"source {source.name}", daemon=True).start()
        try:
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            raise SourceError(
                f"source {source.name} gave no {attempt.table.dataset} of {attempt.session} "
                f"within {timeout:g} s (SOURCE_TIMEOUT)"
            ) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _require_rows(frame: "pd.DataFrame", attempt: Attempt) -> None:
    """A trading day has rows, and they say something; only named symbols may have none."""
    what = f"{attempt.source} gave {attempt.table.dataset} of {attempt.session}"
    if not len(frame):
        if attempt.symbols is None:
            raise SourceError(f"{what} without a single row, although KRX traded")
        return
    require_columns(frame, attempt.table)
    if not any(filled(frame[name]).any() for name in attempt.table.measures):
        raise SourceError(
            f"{what} with {len(frame):,} rows in which {', '.join(attempt.table.measures)} are all "
            "blank, as KRX answers on a closed day"
        )


def _refuse_too_many(rows: int, refused: Refused) -> None:
    allowed = max(_REFUSED_ROWS, int(rows * _REFUSED_SHARE))
    count = len(refused)
    if count > allowed or (count and count == rows):
        reasons: Counter[str] = Counter()
        for text, rows_with_it in Counter(refused.reasons).items():
            reasons.update(dict.fromkeys(text.split("; "), rows_with_it))
        worst = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.most_common(3))
        raise LoadRefusedError(
            f"{count:,} of {rows:,} rows were refused, {allowed:,} may be: {worst}; "
            "every one is in the quarantine"
        )
