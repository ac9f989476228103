"""A vendor's files on disk: which of them hold a session, each parsed once, a session a slice."""

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from resources.sources import SourceError
from resources.sources.captures import NamedFile, UnreadableNameError
from resources.sources.layouts import Layout
from resources.sources.parsing import Parsed, SessionIndex, parse
from resources.tables import Kind

CELL_TYPES = {
    Kind.TEXT: pa.string(),
    Kind.PRICE: pa.float64(),
    Kind.QUANTITY: pa.float64(),
    Kind.PERCENT: pa.float64(),
    Kind.BIGINT: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMPTZ: pa.timestamp("us"),
}
Stamp = tuple[int, int]


class ParsedFiles:
    """Parsed files, the most recently used of them within ``limit`` bytes of Arrow memory (the
    last one read is kept whatever its size). A file that changes on disk is parsed again. Session
    indexes are small and kept all. One thread at a time parses; others wait."""

    def __init__(self, limit: int = 512 * 2**20) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._parsed: OrderedDict[tuple[str, Path], tuple[Stamp, Parsed]] = OrderedDict()
        self._indexes: dict[tuple[str, Path], tuple[Stamp, SessionIndex | None]] = {}
        self._size = 0

    def get(self, dump: "Dump", file: NamedFile) -> Parsed:
        identity, stamp = (dump.key, file.path), _stamp(file.path)
        with self._lock:
            held = self._parsed.get(identity)
            if held is None or held[0] != stamp:
                self._forget(identity)
                held = stamp, parse(file, dump.layout, dump.key)
                self._parsed[identity] = held
                self._indexes[identity] = stamp, held[1].index
                self._size += held[1].rows.nbytes
                while self._size > self._limit and len(self._parsed) > 1:
                    self._forget(next(iter(self._parsed)))
            self._parsed.move_to_end(identity)
            return held[1]

    def index(self, dump: "Dump", file: NamedFile) -> SessionIndex | None:
        identity = (dump.key, file.path)
        with self._lock:
            held = self._indexes.get(identity)
            if held is not None and held[0] == _stamp(file.path):
                return held[1]
            return self.get(dump, file).index

    def _forget(self, identity: tuple[str, Path]) -> None:
        if identity in self._parsed:
            self._size -= self._parsed.pop(identity)[1].rows.nbytes


@dataclass(frozen=True)
class Dump:
    """The files of one layout. ``key`` is its place in the mapping file, such as
    ``krx_dumps.toml: daily_bars[marcap]``."""

    layout: Layout
    key: str
    directory: Path
    parsed: ParsedFiles

    def files(self) -> list[NamedFile]:
        """Raises ``SourceError`` for a name whose digits are no date."""
        try:
            return list(self.layout.glob.files(self.directory))
        except UnreadableNameError as error:
            raise SourceError(f"{error}; rename it, or correct {self.key}.glob") from None

    def sessions(self) -> set[date]:
        """Every session that a file or a row is there for."""
        covered: set[date] = set()
        for file in self.files():
            if file.session is not None:
                covered.add(file.session)
            elif index := self.parsed.index(self, file):
                covered.update(index.sessions())
        return covered

    def rows(self, session: date, wanted: Collection[str] | None) -> pa.Table | None:
        """One session's rows, of ``wanted`` symbols only if that is given; None if the session is
        not covered, which the other symbols decide too."""
        having = [file for file in self.files() if file.session in (None, session)]
        is_wanted = {file: _is_wanted(file, wanted) for file in having}
        found = [
            rows
            for file in having
            if is_wanted[file] and (rows := self._session(file, session)) is not None
        ]
        if found:
            return limited(pa.concat_tables(found, promote_options="permissive"), wanted)
        others = (file for file in having if not is_wanted[file])
        if any(self._covers(file, session) for file in others):
            return self.empty()
        return None

    def all_rows(self) -> pa.Table | None:
        """Every row of every file, sessions aside; None where there is no file."""
        tables = [self._complete(self.parsed.get(self, file).rows, file) for file in self.files()]
        return pa.concat_tables(tables, promote_options="permissive") if tables else None

    def empty(self) -> pa.Table:
        """No rows, all columns."""
        return pa.table(
            {
                column.name: pa.array([], CELL_TYPES[column.kind])
                for column in self.layout.TABLE.columns
            }
        )

    def _covers(self, file: NamedFile, session: date) -> bool:
        if file.session is not None:
            return True
        index = self.parsed.index(self, file)
        return index is not None and index.find(session) is not None

    def _session(self, file: NamedFile, session: date) -> pa.Table | None:
        if not self._covers(file, session):
            return None
        parsed = self.parsed.get(self, file)
        rows = parsed.rows
        if parsed.index is not None:
            place = parsed.index.find(session)
            if place is None:  # the file changed between the two looks at it
                return None
            rows = rows.slice(place.start, place.stop - place.start)
        return self._complete(rows, file)

    def _complete(self, rows: pa.Table, file: NamedFile) -> pa.Table:
        """Adds what is the same in every row, so that files can be put together."""
        given: dict[str, object] = dict(self.layout.given)
        if file.symbol is not None:
            given["symbol"] = file.symbol
        for column in self.layout.TABLE.columns:
            if column.name not in rows.column_names:
                constant = pa.scalar(given.get(column.name), CELL_TYPES[column.kind])
                rows = rows.append_column(column.name, pa.repeat(constant, rows.num_rows))
        return rows


def limited(rows: pa.Table, wanted: Collection[str] | None) -> pa.Table:
    """The rows of ``wanted`` symbols; all of them where that is None."""
    if wanted is None:
        return rows
    return rows.filter(pc.is_in(rows["symbol"], pa.array(sorted(wanted), pa.string())))


def _is_wanted(file: NamedFile, wanted: Collection[str] | None) -> bool:
    return wanted is None or file.symbol is None or file.symbol in wanted


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; copy it again") from None
    return status.st_mtime_ns, status.st_size
