"""One file of a vendor as canonical rows, sorted by session.

A row is an Arrow row whose columns are named as in ``resources.tables``; the text of cells that
could not be read is beside them in a column of the same name with ``GARBLED`` behind it. ``time``
still holds the vendor's label, in Seoul, until the session's hours are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from resources.sources import SourceError
from resources.sources.captures import NamedFile
from resources.sources.cells import (
    Cells,
    amounts_from_shares,
    codes,
    counts,
    flags,
    prices,
    text,
    translated,
)
from resources.sources.investor_rows import side_by_side
from resources.sources.layouts import FACTORS, Layout, SessionLayout
from resources.sources.mapping import MarketFlows, MinuteBars, SupplyDemand
from resources.sources.masters import MasterPart, Snapshot
from resources.sources.moments import dates, labels
from resources.sources.reading import read
from resources.tables import Kind

GARBLED = "?"
_EPOCH = date(1970, 1, 1).toordinal()

Days = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class SessionIndex:
    """Where each session's rows are in a table sorted by session. ``days`` since 1970."""

    days: Days
    starts: np.ndarray[Any, np.dtype[np.int64]]
    """One more than ``days``: the last one is the table's length."""

    def find(self, session: date) -> slice | None:
        day = session.toordinal() - _EPOCH
        place = int(np.searchsorted(self.days, day))
        if place == len(self.days) or self.days[place] != day:
            return None
        return slice(int(self.starts[place]), int(self.starts[place + 1]))

    def sessions(self) -> Iterator[date]:
        return (date.fromordinal(int(day) + _EPOCH) for day in self.days)


@dataclass(frozen=True)
class Parsed:
    """One file. ``index`` is None where the file does not say sessions row by row."""

    rows: pa.Table
    index: SessionIndex | None


def parse(file: NamedFile, layout: Layout, key: str) -> Parsed:
    """Read one file and make sense of its cells. Raises ``SourceError``."""
    try:
        return _parse(file, layout, key)
    except pa.ArrowException as error:
        said = " ".join(str(error).split())[:200]
        raise SourceError(f"{file.path} does not fit {key}: {said}") from None


def _parse(file: NamedFile, layout: Layout, key: str) -> Parsed:
    raw = read(file.path, layout, key)
    for vendor, kept in layout.keep.items():
        raw = raw.filter(pc.is_in(text(raw[vendor], layout), pa.array(kept, pa.string())))

    days: pa.Array | None = None
    if isinstance(layout, SessionLayout) and layout.session is not None:
        session = layout.session
        read_days = dates(raw[session.column], layout, session.format)
        days = _complete_days(read_days, file.path, session.column, f"{key}.session")
    columns: dict[str, Cells] = {}
    if isinstance(layout, MinuteBars):
        bar = layout.time
        columns["time"] = labels(raw[bar.column], layout, bar, file.session or days)
        if file.session is None and days is None:
            day = Cells(columns["time"].values.cast(pa.date32()), columns["time"].garbled)
            days = _complete_days(day, file.path, bar.column, f"{key}.time")
    columns |= {name: _column(layout, name, raw) for name in layout.columns}
    if isinstance(layout, MarketFlows) and (rows_of := layout.investors) and days is not None:
        amounts = counts(raw[rows_of.amount], layout, FACTORS[rows_of.unit])
        investors = text(raw[rows_of.column], layout)
        columns, days = side_by_side(columns, days, investors, amounts, rows_of.labels)

    arrays: dict[str, pa.Array] = {}
    for name, cells in columns.items():
        arrays[name] = cells.values
        if cells.garbled is not None:
            arrays[name + GARBLED] = cells.garbled
    rows = pa.table(arrays)
    return Parsed(rows, None) if days is None else _by_session(rows, days)


def _complete_days(cells: Cells, path: Path, column: str, key: str) -> pa.Array:
    """A row without a session would be lost: better none of the file."""
    absent = cells.values.null_count
    if absent:
        said = [] if cells.garbled is None else cells.garbled.drop_null().to_pylist()
        sample = f'"{said[0]}"' if said else "a blank"
        raise SourceError(
            f'{path}: column "{column}" has {sample} where a session is expected, in {absent} '
            f"rows; correct the dump or {key}.format"
        )
    return cells.values


def _column(layout: Layout, name: str, raw: pa.Table) -> Cells:
    column = raw[layout.columns[name]]
    factor = FACTORS[layout.units.get(name, "KRW")]
    match layout.TABLE.column(name).kind:
        case Kind.BIGINT if isinstance(layout, SupplyDemand) and name in layout.in_shares:
            price = prices(raw[layout.price], layout)
            return amounts_from_shares(counts(column, layout, factor), price)
        case Kind.BIGINT:
            return counts(column, layout, factor)
        case Kind.PRICE | Kind.QUANTITY | Kind.PERCENT:
            return prices(column, layout)
        case Kind.BOOLEAN:
            return flags(column, layout)
        case Kind.DATE if isinstance(layout, Snapshot | MasterPart):
            return dates(column, layout, layout.date_format)
    cells = codes(column, layout) if name == "symbol" else text(column, layout)
    return Cells(translated(cells, layout.values[name]) if name in layout.values else cells)


def _by_session(rows: pa.Table, days: pa.Array) -> Parsed:
    numbers: Days = days.cast(pa.int32()).to_numpy()
    if np.any(numbers[:-1] > numbers[1:]):
        order = np.argsort(numbers, kind="stable")
        rows, numbers = rows.take(pa.array(order)), numbers[order]
    distinct, starts = np.unique(numbers, return_index=True)
    return Parsed(rows, SessionIndex(distinct, np.append(starts, len(numbers))))
