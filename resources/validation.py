"""Splitting what a source returned into rows that may be loaded and rows that are refused.

Nothing is dropped and nothing is corrected: rows in = rows good + rows refused, always. The rules
themselves are in ``schemas``.
"""

import math
import numbers
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pandera.errors
import pyarrow as pa

from resources.schemas import schema
from resources.tables import Kind, Table


@dataclass(frozen=True)
class Split:
    """``good``: canonical columns, typed (float64 prices, Int64 counts, datetime64 dates, UTC
    times, str text). ``refused``: the rows as the source gave them. ``reasons``: why, one text
    per refused row, in the same order."""

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
        for label in frame.columns
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
    original = pd.DataFrame(
        {name: _unboxed(plain[name]) for name in table.column_names}, copy=False
    )

    reasons: dict[int, list[str]] = {}
    typed = {}
    for column in table.columns:
        values, bad = _TYPED[column.kind](original[column.name])
        for row in np.flatnonzero(bad).tolist():
            cell = original[column.name].iloc[row]
            reasons.setdefault(row, []).append(
                f"{column.name} is not {_NAMES[column.kind]}: {_shown(cell)}"
            )
        typed[column.name] = values
    candidates = pd.DataFrame(typed)
    if reasons:
        candidates = candidates.drop(index=list(reasons))

    try:
        schema(table.dataset, session, now).validate(candidates, lazy=True)
    except pandera.errors.SchemaErrors as failed:
        for row, reason in _failures(failed):
            reasons.setdefault(row, []).append(reason)

    rows = sorted(reasons)
    return Split(
        good=candidates.drop(index=rows, errors="ignore"),
        refused=original.loc[rows],
        reasons=["; ".join(dict.fromkeys(reasons[row])) for row in rows],
    )


def _unboxed(cells: pd.Series) -> pd.Series:
    """A column that Arrow holds as Python's objects; what Python has no object for, as text."""
    if not isinstance(cells.dtype, pd.ArrowDtype):
        return cells

    def unboxed(scalar: pa.Scalar) -> object:
        try:
            return scalar.as_py()
        except (OverflowError, ValueError):  # such as a time in the year 10000
            return str(scalar.cast(pa.string()))

    return pd.Series([unboxed(scalar) for scalar in pa.array(cells)], dtype=object)


def _shown(cell: object) -> str:
    try:
        return f"{cell!r:.80}"
    except (ValueError, NotImplementedError):  # 4,301 digits, the year 10000
        return f"{type(cell).__name__} that cannot be shown"


def _failures(failed: pandera.errors.SchemaErrors) -> list[tuple[int, str]]:
    cases = failed.failure_cases
    broken = cases[cases["index"].isna()]
    if not broken.empty:
        # A rule that could not be evaluated has judged nothing: that is our defect.
        raise RuntimeError(f"validation broke: {broken.iloc[0].to_dict()}") from failed
    cases = cases.drop_duplicates(["index", "column", "check"])
    blank = cases["check"] == "not_nullable"
    checks = cases["check"].where(~blank, cases["column"].astype(str) + " is missing")
    return list(zip(cases["index"].astype(int), checks.astype(str), strict=True))


# Each returns the typed values (null where there are none) and a mask of the cells that are
# something else than the type.
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Typed = tuple[pd.Series, Mask]


def filled(cells: pd.Series) -> Mask:
    """Which cells say something. Blank text is how text formats write null."""
    if cells.dtype == object:
        return np.array([not _is_null(cell) for cell in cells], dtype=bool)
    present: Mask = cells.notna().to_numpy(dtype=bool, copy=True)
    if isinstance(cells.dtype, pd.StringDtype):
        present &= (cells.str.strip() != "").to_numpy(dtype=bool, na_value=False)
    return present


def _is_null(cell: object) -> bool:
    return (
        cell is None
        or cell is pd.NaT
        or cell is pd.NA
        or (isinstance(cell, float) and math.isnan(cell))
        or (isinstance(cell, str) and not cell.strip())
    )


def _each(cells: pd.Series, typed: Callable[[Any], object]) -> tuple[list[object], Mask]:
    """Cell by cell, for columns of no one type: ``typed`` gives None for what it cannot take."""
    present = filled(cells)
    values = [typed(cell) if there else None for cell, there in zip(cells, present, strict=True)]
    return values, present & np.array([value is None for value in values], dtype=bool)


def _text(cells: pd.Series) -> Typed:
    if isinstance(cells.dtype, pd.StringDtype):
        present = filled(cells)
        # PostgreSQL's text holds everything but NUL.
        storable = ~cells.str.contains("\0", regex=False, na=False).to_numpy(dtype=bool)
        return cells.where(present & storable).astype("str"), present & ~storable
    values, bad = _each(cells.astype(object), _as_text)
    return pd.Series(values, dtype="str"), bad


def _as_text(cell: object) -> str | None:
    if not isinstance(cell, str) or "\0" in cell:
        return None
    return None if any("\ud800" <= letter <= "\udfff" for letter in cell) else cell


def _price(cells: pd.Series) -> Typed:
    if isinstance(cells.dtype, pd.StringDtype) or cells.dtype.kind in "iuf":
        present = filled(cells)
        values = pd.to_numeric(cells, errors="coerce").astype("float64")
        values = values.where(np.isfinite(values))
        return values, present & values.isna().to_numpy()
    found, bad = _each(cells.astype(object), _as_float)
    return pd.Series(found, dtype="float64"), bad


def _as_float(cell: object) -> float | None:
    if isinstance(cell, bool | np.bool_) or not isinstance(cell, str | Decimal | numbers.Real):
        return None
    if isinstance(cell, str) and not _is_plain(cell):
        return None
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _is_plain(number: str) -> bool:
    """Python also reads 1_000 and other scripts' digits; no vendor means them."""
    return number.isascii() and "_" not in number


def _bigint(cells: pd.Series) -> Typed:
    if cells.dtype.kind == "i":
        return cells.astype("Int64"), np.zeros(len(cells), dtype=bool)
    if cells.dtype.kind == "f":
        present = filled(cells)
        values = cells.astype("float64")
        # From 2**53 on, a float64 may stand for a neighbour.
        whole = (values == values.round()) & (values.abs() < 2**53)
        return values.where(whole).astype("Int64"), present & ~whole.to_numpy()
    found, bad = _each(cells.astype(object), _as_bigint)
    return pd.Series(found, dtype="Int64"), bad


def _as_bigint(cell: Any) -> int | None:
    if isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, numbers.Integral):
        value = int(cell)
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(cell, float | np.floating):
        # From 2**53 on, a float64 may stand for a neighbour.
        number = float(cell)
        return int(number) if abs(number) < 2**53 and number.is_integer() else None
    if isinstance(cell, Decimal) or (isinstance(cell, str) and _is_plain(cell)):
        try:
            exact = Decimal(cell)
            return int(exact) if abs(exact) < 2**63 and exact == int(exact) else None
        except ArithmeticError:
            return None
    return None


def _boolean(cells: pd.Series) -> Typed:
    found, bad = _each(
        cells.astype(object), lambda cell: bool(cell) if isinstance(cell, bool | np.bool_) else None
    )
    return pd.Series(found, dtype="boolean"), bad


def _date(cells: pd.Series) -> Typed:
    if pd.api.types.is_datetime64_dtype(cells.dtype):
        whole = cells == cells.dt.normalize()
        return cells.where(whole), filled(cells) & ~whole.to_numpy()
    found, bad = _each(cells.astype(object), _as_date)
    return pd.Series(np.array(found, dtype="datetime64[s]")), bad


def _as_date(cell: object) -> np.datetime64 | None:
    if isinstance(cell, datetime):
        if cell.tzinfo is not None or cell != datetime(cell.year, cell.month, cell.day):
            return None
        return np.datetime64(cell.date())
    return np.datetime64(cell) if isinstance(cell, date) else None


def _timestamptz(cells: pd.Series) -> Typed:
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return cells.dt.tz_convert("UTC"), np.zeros(len(cells), dtype=bool)
    found, bad = _each(cells.astype(object), _as_instant)
    return pd.Series(np.array(found, dtype="datetime64[us]")).dt.tz_localize("UTC"), bad


def _as_instant(cell: Any) -> np.datetime64 | None:
    # Without a zone an instant is a guess.
    if not isinstance(cell, datetime) or cell.tzinfo is None or getattr(cell, "nanosecond", False):
        return None
    try:
        return np.datetime64(cell.astimezone(UTC).replace(tzinfo=None), "us")
    except OverflowError:
        return None


_TYPED: dict[Kind, Callable[[pd.Series], Typed]] = {
    Kind.TEXT: _text,
    Kind.PRICE: _price,
    Kind.QUANTITY: _price,
    Kind.PERCENT: _price,
    Kind.BIGINT: _bigint,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.TIMESTAMPTZ: _timestamptz,
}

_NAMES = {
    Kind.TEXT: "text",
    Kind.PRICE: "a number",
    Kind.QUANTITY: "a number",
    Kind.PERCENT: "a number",
    Kind.BIGINT: "a whole number",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date",
    Kind.TIMESTAMPTZ: "a time with a zone",
}
