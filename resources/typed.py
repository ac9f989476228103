"""A column's cells as their table's type, cell by cell where the column is of no one type.

Nothing is guessed and nothing is corrected: a cell that is not of the type is marked, and
``validation`` refuses its row.
"""

import math
import numbers
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray

from resources.tables import Kind

# Each returns the typed values (null where there are none) and a mask of the cells that are
# something else than the type. Arrays: a Series takes longer to make than a session to type.
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Array = np.ndarray[Any, Any] | ExtensionArray
Typed = tuple[Array, Mask]

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL's text is UTF-8 without zeros."""


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


def _none(cells: pd.Series) -> Mask:
    return np.zeros(len(cells), dtype=bool)


def _text(cells: pd.Series) -> Typed:
    """As categories: what is asked of a million symbols is asked of 2,700 texts."""
    if not isinstance(cells.dtype, pd.StringDtype):
        cells = cells.astype(object)
        if pd.api.types.infer_dtype(cells, skipna=True) not in ("string", "empty"):
            values, bad = _each(cells, _as_text)
            return pd.Series(values, dtype="str").astype("category").array, bad
    codes, words = pd.factorize(cells.array)
    texts = words.to_numpy(dtype=object)
    wrong = np.array([bool(_NO_TEXT.search(text)) for text in texts], dtype=bool)
    kept = np.array([bool(text.strip()) for text in texts], dtype=bool) & ~wrong
    bad = np.zeros(len(cells), dtype=bool)
    if not kept.all():
        # Nulls have the code -1: the last place.
        bad = np.append(wrong, False)[codes]
        codes = np.where([*kept, False], np.cumsum([*kept, False]) - 1, -1)[codes]
        words = texts[kept]
    return pd.Categorical.from_codes(codes, categories=pd.Index(words, dtype="str")), bad


def _as_text(cell: object) -> str | None:
    return cell if isinstance(cell, str) and not _NO_TEXT.search(cell) else None


def _price(cells: pd.Series) -> Typed:
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "iu":
        return cells.to_numpy(dtype="float64"), _none(cells)
    if isinstance(cells.dtype, pd.StringDtype) or cells.dtype.kind in "iuf":
        present = filled(cells)
        values = pd.to_numeric(cells, errors="coerce").astype("float64")
        values = values.where(np.isfinite(values))
        return values.to_numpy(), present & values.isna().to_numpy()
    found, bad = _each(cells.astype(object), _as_float)
    return np.array(found, dtype="float64"), bad


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
        # A copy: what is written must not hold on to all whole numbers of the source's frame.
        return pd.array(cells.array, dtype="Int64", copy=True), _none(cells)
    if cells.dtype.kind == "f":
        present = filled(cells)
        values = cells.astype("float64")
        # From 2**53 on, a float64 may stand for a neighbour.
        whole = (values == values.round()) & (values.abs() < 2**53)
        return values.where(whole).astype("Int64").array, present & ~whole.to_numpy()
    found, bad = _each(cells.astype(object), _as_bigint)
    return pd.Series(found, dtype="Int64").array, bad


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
    if cells.dtype.kind == "b":
        return pd.array(cells.array, dtype="boolean", copy=False), _none(cells)
    found, bad = _each(
        cells.astype(object), lambda cell: bool(cell) if isinstance(cell, bool | np.bool_) else None
    )
    return pd.Series(found, dtype="boolean").array, bad


def _date(cells: pd.Series) -> Typed:
    if pd.api.types.is_datetime64_dtype(cells.dtype):
        whole = cells == cells.dt.normalize()
        return cells.where(whole).array, filled(cells) & ~whole.to_numpy()
    cells = cells.astype(object)
    if set(map(type, cells)) == {date}:
        # As Arrow gives them, which also takes them: numpy needs 2 µs for each.
        days = pa.array(cells, pa.date32()).cast(pa.timestamp("s"))
        return days.to_numpy(), _none(cells)
    found, bad = _each(cells, _as_date)
    return np.array(found, dtype="datetime64[s]"), bad


def _as_date(cell: object) -> np.datetime64 | None:
    if isinstance(cell, datetime):
        if cell.tzinfo is not None or cell != datetime(cell.year, cell.month, cell.day):
            return None
        return np.datetime64(cell.date())
    return np.datetime64(cell) if isinstance(cell, date) else None


def _timestamptz(cells: pd.Series) -> Typed:
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return cells.dt.tz_convert("UTC").array, _none(cells)
    found, bad = _each(cells.astype(object), _as_instant)
    return pd.Series(np.array(found, dtype="datetime64[us]")).dt.tz_localize("UTC").array, bad


def _as_instant(cell: Any) -> np.datetime64 | None:
    # Without a zone an instant is a guess.
    if not isinstance(cell, datetime) or cell.tzinfo is None or getattr(cell, "nanosecond", False):
        return None
    try:
        return np.datetime64(cell.astimezone(UTC).replace(tzinfo=None), "us")
    except OverflowError:
        return None


TYPED: dict[Kind, Callable[[pd.Series], Typed]] = {
    Kind.TEXT: _text,
    Kind.PRICE: _price,
    Kind.QUANTITY: _price,
    Kind.PERCENT: _price,
    Kind.BIGINT: _bigint,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.TIMESTAMPTZ: _timestamptz,
}

TYPE_NAMES = {
    Kind.TEXT: "text",
    Kind.PRICE: "a number",
    Kind.QUANTITY: "a number",
    Kind.PERCENT: "a number",
    Kind.BIGINT: "a whole number",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date",
    Kind.TIMESTAMPTZ: "a time with a zone",
}
"""What a cell should have been, in the reason its row is refused for."""
