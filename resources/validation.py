"""Splitting what a source returned into rows that may be loaded and rows that are refused.

Nothing is dropped and nothing is corrected: rows in = rows good + rows refused, always. The rules
themselves are in ``schemas``.
"""

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pandera.errors

from resources.schemas import schema
from resources.tables import Kind, Table

_EXACT = 2**53
"""Whole numbers up to here are exact in a float64."""


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


def split(frame: pd.DataFrame, table: Table, session: date, now: datetime) -> Split:
    """Judge every row of ``frame`` against ``table``'s types and rules.

    ``now`` (with a zone) is the time after which no row may lie. Raises ``ColumnsError``.
    """
    given, wanted = list(frame.columns), list(table.column_names)
    if sorted(map(str, given)) != sorted(wanted):
        missing = ", ".join(sorted(set(wanted) - set(given))) or "none"
        unknown = ", ".join(sorted(set(map(str, given)) - set(wanted))) or "none"
        raise ColumnsError(
            f"{table.name}: the source's columns are not the table's; missing: {missing}; "
            f"unknown or repeated: {unknown}"
        )
    original = frame[wanted].reset_index(drop=True)

    reasons: dict[int, list[str]] = {}
    typed = {}
    for column in table.columns:
        values, bad = _TYPED[column.kind](original[column.name])
        for row in np.flatnonzero(bad).tolist():
            cell = original[column.name].iloc[row]
            reasons.setdefault(row, []).append(
                f"{column.name} is not {_NAMES[column.kind]}: {cell!r:.80}"
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


def _present(cells: pd.Series) -> Mask:
    present: Mask = cells.notna().to_numpy(dtype=bool, copy=True)
    # Blank text is how text formats write null.
    if isinstance(cells.dtype, pd.StringDtype):
        present &= (cells.str.strip() != "").to_numpy(dtype=bool)
    elif cells.dtype == object:
        blank = [isinstance(cell, str) and not cell.strip() for cell in cells]
        present &= ~np.array(blank, dtype=bool)
    return present


def _text(cells: pd.Series) -> Typed:
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(cells.cat.categories.dtype)
    present = _present(cells)
    if isinstance(cells.dtype, pd.StringDtype):
        # PostgreSQL's text holds everything but NUL.
        storable = ~cells.str.contains("\0", regex=False, na=False).to_numpy(dtype=bool)
    else:
        storable = np.array([_is_storable(cell) for cell in cells], dtype=bool)
    kept = cells.astype(object).where(present & storable, None)
    return kept.astype("str"), present & ~storable


def _is_storable(cell: object) -> bool:
    if not isinstance(cell, str) or "\0" in cell:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in cell)


def _number(cells: pd.Series) -> Typed:
    """Numbers in whatever numeric type holds them, null where there are none."""
    present = _present(cells)
    if isinstance(cells.dtype, pd.ArrowDtype):
        whole = cells.dtype.kind in "iu"
        cells = cells.astype("Int64") if whole else cells.astype(object)
    if cells.dtype == object:
        number = np.array([_is_number(cell) for cell in cells], dtype=bool)
        cells = cells.where(number, None)
    elif cells.dtype.kind not in "iuf" and not isinstance(cells.dtype, pd.StringDtype):
        return pd.Series(np.nan, index=cells.index), present
    values = pd.to_numeric(cells, errors="coerce")
    if values.dtype.kind not in "iu":
        values = values.astype("float64")
        values = values.where(np.isfinite(values))
    return values, present & values.isna().to_numpy(dtype=bool)


def _is_number(cell: object) -> bool:
    if isinstance(cell, bool | np.bool_):
        return False
    return isinstance(cell, str | Decimal | numbers.Real)


def _price(cells: pd.Series) -> Typed:
    values, bad = _number(cells)
    return values.astype("float64"), bad


def _bigint(cells: pd.Series) -> Typed:
    values, bad = _number(cells)
    if values.dtype.kind == "f":
        whole = (values == values.round()) & (values.abs() <= _EXACT)
        bad = bad | (values.notna() & ~whole).to_numpy()
        values = values.where(whole)
    elif values.dtype.kind == "u":
        fits = values <= np.iinfo("int64").max
        bad = bad | ~fits.to_numpy()
        values = values.where(fits)
    return values.astype("Int64"), bad


def _boolean(cells: pd.Series) -> Typed:
    present = _present(cells)
    is_boolean = np.array([isinstance(cell, bool | np.bool_) for cell in cells], dtype=bool)
    return cells.astype(object).where(is_boolean, None).astype("boolean"), present & ~is_boolean


def _date(cells: pd.Series) -> Typed:
    present = _present(cells)
    if not pd.api.types.is_datetime64_any_dtype(cells.dtype):
        is_date = np.array([isinstance(cell, date) for cell in cells], dtype=bool)
        cells = cells.astype(object).where(is_date, None)
    values = _instants(cells, utc=False)
    values = values.where(values == values.dt.normalize())
    return values, present & values.isna().to_numpy()


def _timestamptz(cells: pd.Series) -> Typed:
    present = _present(cells)
    if not isinstance(cells.dtype, pd.DatetimeTZDtype):
        # Without a zone an instant is a guess.
        zoned = [isinstance(cell, datetime) and cell.tzinfo is not None for cell in cells]
        cells = cells.astype(object).where(np.array(zoned, dtype=bool), None)
    values = _instants(cells, utc=True)
    return values, present & values.isna().to_numpy()


def _instants(cells: pd.Series, *, utc: bool) -> pd.Series:
    try:
        values = pd.to_datetime(cells, errors="coerce", utc=utc)
    except (ValueError, TypeError, OverflowError):
        values = pd.Series(pd.NaT, index=cells.index)
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        values = pd.to_datetime(pd.Series(pd.NaT, index=cells.index), utc=utc)
    if not utc and isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_localize(None)
    return values


_TYPED: dict[Kind, Callable[[pd.Series], Typed]] = {
    Kind.TEXT: _text,
    Kind.PRICE: _price,
    Kind.BIGINT: _bigint,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.TIMESTAMPTZ: _timestamptz,
}

_NAMES = {
    Kind.TEXT: "text",
    Kind.PRICE: "a number",
    Kind.BIGINT: "a whole number",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: "a date",
    Kind.TIMESTAMPTZ: "a time with a zone",
}
