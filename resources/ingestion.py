"""One session from source to table: fetch, validate, decide, load, and leave a trace.

This is the loading contract. ``standing`` says whether a session may be loaded yet, ``validation``
judges rows, ``loading`` writes; here it is decided whether what came may be written.
"""

import queue
import threading
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from resources.canonical import CanonicalError, canonical
from resources.databases import Database, DatabaseError, persistently
from resources.ledger import Commit
from resources.loading import Attempt, LoadRefusedError, Refused, load, record_attempt
from resources.sources import MarketSource, SourceError, SourceUnavailableError
from resources.validation import ColumnsError, split

if TYPE_CHECKING:
    import pandas as pd

_REFUSED_SHARE = 0.01
_REFUSED_ROWS = 5


class IngestionError(Exception):
    """The session was not loaded and its table is as it was; the text says why."""


def ingest(
    source: MarketSource,
    database: Database,
    attempt: Attempt,
    *,
    source_timeout: float,
    now: datetime,
    allow_shrink: bool = False,
    allow_source_change: bool = False,
) -> Commit:
    """Load ``attempt``'s session; return once it is committed.

    ``source_timeout`` is in seconds; ``now`` has a zone; what may be allowed is ``load``'s. Raises
    ``IngestionError`` when it was not loaded: the attempt is then in the ledger and its refused
    rows in the quarantine, unless the database could not be reached, which the text says.
    """
    refused = Refused()
    outcome: Literal["refused", "failed"] = "failed"
    cause: Exception
    try:
        frame = _fetch(source, attempt, source_timeout)
        _require_rows(frame, attempt)
        judged = split(frame, attempt.table, attempt.session, now)
        refused = Refused(judged.refused, judged.reasons)
        _refuse_too_many(len(frame), refused)
        rows = canonical(judged.good, attempt.table)
        return persistently(load)(
            database,
            attempt,
            rows,
            refused,
            allow_shrink=allow_shrink,
            allow_source_change=allow_source_change,
        )
    except LoadRefusedError as error:
        outcome, text, cause = "refused", str(error), error
    except _EXPLAINED as error:
        text, cause = str(error), error
    except Exception as error:
        text, cause = f"{type(error).__name__}: {error}", error
    try:
        persistently(record_attempt)(database, attempt, outcome, text, refused)
    except DatabaseError as unrecorded:
        text = f"{text} (and the attempt is not in the ledger: {unrecorded})"
    raise IngestionError(text) from cause


_EXPLAINED = (SourceError, ColumnsError, CanonicalError, DatabaseError)


@retry(
    retry=retry_if_exception_type(SourceUnavailableError),
    stop=stop_after_attempt(3),
    wait=wait_exponential_jitter(multiplier=2, max=30),
    reraise=True,
)
def _fetch(source: MarketSource, attempt: Attempt, timeout: float) -> "pd.DataFrame":
    """Ask the source in a thread of its own: one that hangs must not hold the run for ever, and
    a thread that cannot be stopped must not keep the process alive."""
    answers: queue.SimpleQueue[pd.DataFrame | BaseException] = queue.SimpleQueue()
    ask = getattr(source, attempt.table.dataset.value)

    def work() -> None:
        try:
            answers.put(ask(attempt.session, attempt.symbols))
        except BaseException as error:
            answers.put(error)

    threading.Thread(target=work, name=f"source {source.name}", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise SourceError(
            f"source {source.name} gave no {attempt.table.dataset} of {attempt.session} within "
            f"{timeout:g} s (SOURCE_TIMEOUT)"
        ) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _require_rows(frame: "pd.DataFrame", attempt: Attempt) -> None:
    """A trading day has rows, and they say something; only named symbols may have none."""
    what = f"{attempt.source} gave {attempt.table.dataset} of {attempt.session}"
    if frame.empty:
        if attempt.symbols is None:
            raise SourceError(f"{what} without a single row, although KRX traded")
        return
    measures = [name for name in attempt.table.measures if name in frame.columns]
    blank = frame[measures].replace(r"^\s*$", None, regex=True).isna().all(axis=None)
    if measures and blank:
        raise SourceError(
            f"{what} with {len(frame):,} rows in which {', '.join(measures)} are all blank, as KRX "
            "answers on a closed day"
        )


def _refuse_too_many(rows: int, refused: Refused) -> None:
    allowed = max(_REFUSED_ROWS, int(rows * _REFUSED_SHARE))
    count = len(refused)
    if count > allowed or (count and count == rows):
        reasons = Counter(reason for text in refused.reasons for reason in text.split("; "))
        worst = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.most_common(3))
        raise LoadRefusedError(
            f"{count:,} of {rows:,} rows were refused, {allowed:,} may be: {worst}; "
            "every one is in the quarantine"
        )
