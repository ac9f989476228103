"""Splitting what a source returned into rows that may be loaded and rows that are refused.

Nothing is dropped and nothing is corrected: rows in = rows good + rows refused, always. The rules
themselves are in ``schemas``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
from pandera.api.checks import Check
from pandera.backends.pandas.checks import PandasCheckBackend

from resources.schemas import Rules, rules
from resources.tables import Table
from resources.typed import TYPE_NAMES, TYPED, Mask

Positions = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Split:
    """``good``: canonical columns, typed (float64 prices, Int64 counts, datetime64 dates, UTC
    times, text as categories). ``refused``: the rows as the source gave them. ``reasons``: why,
    one text per refused row, in the same order."""

    good: pd.DataFrame
    refused: pd.DataFrame
    reasons: list[str]


class ColumnsError(Exception):
    """A frame has not exactly the canonical columns; the text names the table and the columns."""


def require_columns(frame: pd.DataFrame, table: Table) -> None:
    """Raise ``ColumnsError`` unless ``frame`` has ``table``'s columns, in whatever order."""
    wanted = Counter(table.column_names)
    given = Counter(
        label if isinstance(label, str) and label.isprintable() else repr(label)
        for label in frame.columns.tolist()
    )
    if given != wanted:
        missing = ", ".join(sorted(wanted - given)) or "none"
        unknown = ", ".join(sorted(given - wanted)) or "none"
        raise ColumnsError(
            f"{table.name}: the source's columns are not the table's; missing: {missing}; "
            f"unknown or repeated: {unknown}"
        )


def split(frame: pd.DataFrame, table: Table, session: date, now: datetime) -> Split:
    """Judge every row of ``frame`` against ``table``'s types and rules.

    ``now`` (with a zone) is the time after which no row may lie. Raises ``ColumnsError``.
    """
    require_columns(frame, table)
    plain = frame.reset_index(drop=True)
    reasons = _Reasons(len(plain))
    given, typed = {}, {}
    for column in table.columns:
        cells = _unboxed(plain[column.name])
        values, bad = TYPED[column.kind](cells)
        if bad.any():
            what = f"{column.name} is not {TYPE_NAMES[column.kind]}"
            rows = np.flatnonzero(bad)
            reasons.tell(rows, [f"{what}: {_shown(cell)}" for cell in cells[rows]])
        given[column.name], typed[column.name] = cells, values
    candidates = pd.DataFrame(typed, copy=False)
    # Arrow's texts, pandas' own choice, are unpacked whenever a column is asked for.
    candidates.columns = candidates.columns.astype(object)
    if reasons.rows.any():
        candidates = candidates[~reasons.rows]
    reasons.tell_each(_broken_rules(rules(table.dataset, session, now), candidates))
    if not reasons.rows.any():
        return Split(good=candidates, refused=plain.iloc[:0], reasons=[])
    return Split(
        good=candidates[~reasons.rows[candidates.index]],
        refused=pd.DataFrame(given, copy=False)[reasons.rows],
        reasons=reasons.texts(),
    )


class _Reasons:
    """Why rows are refused; a million of them may be, for several reasons each."""

    def __init__(self, size: int) -> None:
        self.rows: Mask = np.zeros(size, dtype=bool)
        self._told: dict[int, str] = {}
        self._broken: list[str] = []
        self._which = np.zeros(size, dtype=np.int64)
        """Bit n of a row: whether it breaks rule n of ``_broken``."""

    def tell(self, rows: Positions, texts: Iterable[str]) -> None:
        """A reason of its own for each of the rows."""
        for row, text in zip(rows.tolist(), texts, strict=True):
            before = self._told.get(row)
            self._told[row] = text if before is None else f"{before}; {text}"
        self.rows[rows] = True

    def tell_each(self, broken: Iterable[tuple[str, Positions]]) -> None:
        """The same reason for all the rows that break a rule."""
        for reason, rows in broken:
            self._which[rows] |= 1 << len(self._broken)
            self._broken.append(reason)
            self.rows[rows] = True

    def texts(self) -> list[str]:
        """The reasons of each refused row, in the rows' order."""
        rows = np.flatnonzero(self.rows)
        found, places = np.unique(self._which[rows], return_inverse=True)
        by_rules = [
            "; ".join(reason for n, reason in enumerate(self._broken) if which >> n & 1)
            for which in found.tolist()
        ]
        return [
            self._told.get(row) or by_rules[place]
            for row, place in zip(rows.tolist(), places.tolist(), strict=True)
        ]


def _broken_rules(kept: Rules, rows: pd.DataFrame) -> Iterator[tuple[str, Positions]]:
    """The rules that are broken, and by which rows: what a ``pandera.DataFrameSchema`` of them
    would report, which takes 40 µs for every single failure and 0.2 ms for every rule."""
    checks: list[tuple[pd.Series | pd.DataFrame, Check]] = []
    for name, column in kept.columns.items():
        cells = rows[name]
        missing = cells.array.isna()
        if missing.any():
            if not column.nullable:
                yield f"{name} is missing", rows.index.to_numpy()[missing]
            cells = cells[~missing]
        checks += [(cells, check) for check in column.checks]
    checks += [(rows, check) for check in kept.checks]
    for judged, check in checks:
        try:
            good = PandasCheckBackend(check).check_fn(judged).to_numpy(dtype=bool)
        except Exception as error:
            # A rule that could not be evaluated has judged nothing: that is our defect.
            raise RuntimeError(f"validation broke: {check.error}: {error}") from error
        if not good.all():
            broken = judged[~good]
            if judged is rows:
                # Of a row without a single value no rule speaks.
                broken = broken[broken.notna().any(axis=1)]
            yield str(check.error), broken.index.to_numpy()


def _unboxed(cells: pd.Series) -> pd.Series:
    """A column that Arrow holds as Python's objects; what Python has no object for, as text."""
    if not isinstance(cells.dtype, pd.ArrowDtype):
        return cells

    def unboxed(scalar: pyarrow.Scalar) -> object:
        try:
            return scalar.as_py()
        except (OverflowError, ValueError):  # such as a time in the year 10000
            return str(scalar.cast(pyarrow.string()))

    return pd.Series([unboxed(scalar) for scalar in pyarrow.array(cells)], dtype=object)


def _shown(cell: object) -> str:
    try:
        return f"{cell!r:.80}"
    except (ValueError, NotImplementedError):  # 4,301 digits, the year 10000
        return f"{type(cell).__name__} that cannot be shown"
