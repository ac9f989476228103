"""The ``files`` source: vendor dumps on disk, described by a mapping file.

Of an asset's datasets the first that covers the session delivers it, whole; datasets are never
mixed. A dataset covers a session if a file's name or a row says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from resources.sources import NotCoveredError, SourceError
from resources.sources.dumps import Dump, ParsedFiles, limited
from resources.sources.mapping import AnyDataset, MinuteBars, load_mapping
from resources.sources.masters import CompanyMasters, Masters
from resources.sources.moments import bar_starts
from resources.sources.parsing import GARBLED
from resources.tables import TABLES, Dataset, Table


class SessionHours(Protocol):
    """What the source must know of the calendar."""

    def is_session(self, day: date, /) -> bool:
        """Whether the KRX is open that day."""
        ...

    def close(self, session: date, /) -> time:
        """When the regular session closes, Asia/Seoul."""
        ...


class FilesSource:
    """``MarketSource`` over the dumps in ``data_dir`` (MARKET_DATA_DIR), described by the file
    ``mapping`` (MARKET_DATA_MAPPING).

    ``daily_bars`` and its siblings return what the protocol says, cells that could not be read as
    their original text. They raise ``NotCoveredError`` where no dataset covers the session, and
    ``SourceError`` (naming the file, the column and the mapping key) for a day that is no session,
    a file that cannot be read, a column that is not there and a session date that cannot be read.
    May be used by several threads.
    """

    name = "files"
    simulated = False

    def __init__(self, data_dir: Path, mapping: Path, calendar: SessionHours) -> None:
        """Raises ``SourceError`` if the directory is missing or the mapping is wrong."""
        described = load_mapping(mapping)
        if not data_dir.is_dir():
            raise SourceError(
                f"{data_dir} is no directory; set MARKET_DATA_DIR to the one with the dumps that "
                f"{mapping} describes"
            )
        self._data_dir = data_dir
        self._mapping = mapping
        self._calendar = calendar
        parsed = ParsedFiles()

        def supply(dataset: Dataset, layout: AnyDataset) -> _Supply:
            key = f"{mapping.name}: {dataset.value}[{layout.name}]"
            if isinstance(layout, Masters):
                parts = enumerate(layout.parts, 1)
                return _Masters(
                    layout, [Dump(p, f"{key}.parts[{n}]", data_dir, parsed) for n, p in parts]
                )
            return _Sessions(layout.name, Dump(layout, key, data_dir, parsed), calendar)

        self._supplies: dict[Dataset, list[_Supply]] = {
            dataset: [supply(dataset, layout) for layout in described.datasets(dataset)]
            for dataset in Dataset
        }

    def symbols(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Members of the session; see ``MarketSource.symbols``."""
        return self._frame(Dataset.SYMBOLS, session, symbols)

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Bars of the session; see ``MarketSource.daily_bars``."""
        return self._frame(Dataset.DAILY_BARS, session, symbols)

    def minute_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """1-minute bars of the session; see ``MarketSource.minute_bars``."""
        return self._frame(Dataset.MINUTE_BARS, session, symbols)

    def supply_demand(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Net buying of the session; see ``MarketSource.supply_demand``."""
        return self._frame(Dataset.SUPPLY_DEMAND, session, symbols)

    def market_flows(self, session: date, symbols: None) -> pd.DataFrame:
        """Net buying of each market in the session; see ``MarketSource.market_flows``."""
        return self._frame(Dataset.MARKET_FLOWS, session, None)

    def companies(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """Companies of the session; see ``MarketSource.companies``."""
        return self._frame(Dataset.COMPANIES, session, symbols)

    def etf_constituents(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        """What ETFs hold on the session; see ``MarketSource.etf_constituents``."""
        return self._frame(Dataset.ETF_CONSTITUENTS, session, symbols)

    def _frame(
        self, dataset: Dataset, session: date, symbols: Sequence[str] | None
    ) -> pd.DataFrame:
        if not self._calendar.is_session(session):
            raise SourceError(
                f"{dataset.value} of {session}: that {session:%A} is no KRX session, "
                "so no dump is asked for it"
            )
        wanted = None if symbols is None else frozenset(symbols)
        for supply in self._supplies[dataset]:
            rows = supply.rows(session, wanted)
            if rows is not None:
                return _to_pandas(rows, TABLES[dataset], session)
        tried = [supply.held() for supply in self._supplies[dataset]]
        held = "; ".join(tried) or f"there is no [[{dataset.value}]]"
        raise NotCoveredError(
            f"{dataset.value} of {session}: nothing in {self._mapping} covers it ({held}); "
            f"add the dump to {self._data_dir}, or a dataset to the mapping"
        )


class _Supply(Protocol):
    """One dataset of the mapping file."""

    def rows(self, session: date, wanted: frozenset[str] | None) -> pa.Table | None:
        """The session's rows, None if it is not covered. ``time`` is in UTC."""
        ...

    def held(self) -> str:
        """Which sessions are covered, for the error that names them."""
        ...


@dataclass(frozen=True)
class _Sessions:
    """Files that say which session their rows belong to."""

    name: str
    dump: Dump
    calendar: SessionHours

    def rows(self, session: date, wanted: frozenset[str] | None) -> pa.Table | None:
        rows = self.dump.rows(session, wanted)
        layout = self.dump.layout
        if rows is None or not isinstance(layout, MinuteBars):
            return rows
        close = datetime.combine(session, self.calendar.close(session))
        starts = bar_starts(rows["time"], layout.time, close)
        return rows.set_column(rows.column_names.index("time"), "time", starts)

    def held(self) -> str:
        if not self.dump.files():
            return _unmatched(self.name, self.dump)
        sessions = sorted(filter(self.calendar.is_session, self.dump.sessions()))
        if not sessions:
            return f"{self.name} holds no session"
        count = f"{len(sessions)} session{'s' if len(sessions) > 1 else ''}"
        return f"{self.name} holds {sessions[0]}..{sessions[-1]}, {count}"


@dataclass(frozen=True)
class _Masters:
    """Masters that say from when to when a symbol is listed."""

    layout: Masters
    parts: Sequence[Dump]

    def rows(self, session: date, wanted: frozenset[str] | None) -> pa.Table | None:
        if session > self.layout.as_of:
            return None
        tables = [part.all_rows() for part in self.parts]
        if not any(tables):
            return None
        for part, table in zip(self.parts, tables, strict=True):
            if table is None:
                raise SourceError(
                    f"{part.key}.glob: {_unmatched('this part', part)}; without it symbols would "
                    "be missing: add the dump or remove the part"
                )
        rows = pa.concat_tables(tables, promote_options="permissive")
        if isinstance(self.layout, CompanyMasters):
            rows = _completed(rows)
        day = pa.scalar(session, pa.date32())
        listed = pc.fill_null(pc.less_equal(rows["listing_date"], day), True)
        if "delisting_date" in rows.column_names:
            listed = pc.and_(listed, pc.fill_null(pc.greater(rows["delisting_date"], day), True))
        return limited(rows.filter(listed), wanted)

    def held(self) -> str:
        absent = [_unmatched(self.layout.name, part) for part in self.parts if not part.files()]
        return absent[0] if absent else f"{self.layout.name} holds sessions to {self.layout.as_of}"


def _completed(rows: pa.Table) -> pa.Table:
    """One row a symbol: of each column the first cell that says something."""
    first = [name for name in rows.column_names if name != "symbol"]
    # In order, which threads would not keep.
    grouped = rows.group_by("symbol", use_threads=False).aggregate(
        [(name, "first", pc.ScalarAggregateOptions(skip_nulls=True)) for name in first]
    )
    return grouped.rename_columns([name.removesuffix("_first") for name in grouped.column_names])


def _unmatched(name: str, dump: Dump) -> str:
    return f'{name}: "{dump.layout.glob.text}" matches no file in {dump.directory}'


def _to_pandas(rows: pa.Table, table: Table, session: date) -> pd.DataFrame:
    """Canonical columns in their order. Integers stay integers beside nulls; a column with cells
    that could not be read holds objects, those cells as their text."""
    frame: dict[str, pd.Series] = {}
    for name in table.column_names:
        if name == "date":
            frame[name] = pd.Series([session] * rows.num_rows, dtype=object)
            continue
        cells = rows[name]
        mapped = {pa.int64(): pd.Int64Dtype()} if cells.null_count else {}
        series = cells.to_pandas(types_mapper=mapped.get)
        if name + GARBLED in rows.column_names:
            said = rows[name + GARBLED].to_pandas().astype(object)
            if said.notna().any():
                series = series.astype(object).where(said.isna(), said)
        frame[name] = series
    return pd.DataFrame(frame)
