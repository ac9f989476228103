"""What a vendor's dates and bar labels mean: KRX session dates and wall-clock time in Seoul."""

from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from resources.sources.cells import Cells, by_distinct, judged, plain, text
from resources.sources.layouts import BarTime, Layout

KST = timezone(timedelta(hours=9))
"""Asia/Seoul has had this one offset since 1988: as long as there are minute bars."""

_DIGITS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%j": 3, "%H": 2, "%M": 2, "%S": 2}


def dates(column: pa.ChunkedArray, layout: Layout, format: str) -> Cells:
    """Dates (date32) by a strptime format. A file's own timestamp gives its date in Seoul."""
    cells = plain(column, layout)
    values = by_distinct(cells, lambda cell: _date(cell, format), pa.date32())
    return judged(column, cells, values)


def labels(
    column: pa.ChunkedArray, layout: Layout, bar: BarTime, sessions: pa.Array | date | None
) -> Cells:
    """Bar labels as time in Seoul (timestamp of microseconds without a zone). A label that is only
    a time of day takes its date from ``sessions``: one for the whole file, or one a row."""
    cells = plain(column, layout)
    labelled, format = cells, bar.format
    if bar.is_time_of_day and sessions is not None:
        # A number such as 901 has lost the zero of 0901.
        clock = pc.utf8_lpad(text(column, layout), _width(bar.format), "0")
        days = (
            pa.scalar(sessions.isoformat())
            if isinstance(sessions, date)
            else sessions.cast(pa.string())
        )
        labelled, format = pc.binary_join_element_wise(days, clock, " "), f"%Y-%m-%d {bar.format}"
    values = by_distinct(
        labelled, lambda cell: _label(cell, format, bar.timezone), pa.timestamp("us")
    )
    return judged(column, cells, values)


def bar_starts(label: pa.ChunkedArray, bar: BarTime, close: datetime) -> pa.ChunkedArray:
    """The bars' starts (timestamp of microseconds, UTC) from one session's labels in Seoul.
    ``close`` is that session's closing time in Seoul, without a zone: there the closing-auction
    bar starts, whatever the vendor calls it."""
    minute = pa.scalar(timedelta(minutes=1), pa.duration("us"))
    starts = pc.subtract(label, minute) if bar.label == "end" else label
    if bar.auction_after_close is not None:
        called = pa.scalar(close + bar.auction_after_close, pa.timestamp("us"))
        starts = pc.if_else(pc.equal(label, called), pa.scalar(close, pa.timestamp("us")), starts)
    utc = pc.subtract(starts, pa.scalar(timedelta(hours=9), pa.duration("us")))
    return utc.cast(pa.timestamp("us", "UTC"))


def _date(cell: Any, format: str) -> date | None:
    if isinstance(cell, datetime):
        return (cell.astimezone(KST) if cell.tzinfo else cell).date()
    if isinstance(cell, date):
        return cell
    try:
        return datetime.strptime(_bare(cell), format).date()
    except ValueError:
        return None


def _label(cell: Any, format: str, zone: ZoneInfo) -> datetime | None:
    try:
        if isinstance(cell, datetime):
            moment = cell
        elif format == "iso8601":
            moment = datetime.fromisoformat(_bare(cell))
        else:
            moment = datetime.strptime(_bare(cell), format)
        # An offset in the text wins over the mapping's zone.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
        return aware.astimezone(KST).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _bare(cell: Any) -> str:
    """201801160901.0 is 201801160901 to a format."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _width(format: str) -> int:
    """How many characters a strptime format's text has, 0 if that is not fixed."""
    for directive, digits in _DIGITS.items():
        format = format.replace(directive, "0" * digits)
    return 0 if "%" in format else len(format)
