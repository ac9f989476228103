"""What a vendor's cells mean: text, numbers and flags, as typed Arrow arrays (dates and bar labels
are in ``moments``).

Arrow does whole columns at once. Only where it cannot (a garbled cell, a fraction of a million
won) each DISTINCT cell goes through Python; never each row.

A cell that cannot be read is null in ``values`` and keeps its text in ``garbled``, so that
validation refuses that row and shows what it said.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resources.sources.layouts import Layout

_MAX_INT64 = 2**63 - 1
_MAX_PRICE = 10**12
"""KRW a share: within it, shares × price fits a decimal."""


@dataclass(frozen=True)
class Cells:
    """One column. ``garbled`` is text where a cell could not be read, null elsewhere; None when
    all of them could."""

    values: pa.Array
    garbled: pa.Array | None = None


def plain(column: pa.ChunkedArray, layout: Layout) -> pa.Array:
    """The column in one piece, blanks as null, text trimmed and without dictionary."""
    cells = column.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_floating(cells.type):
        return pc.if_else(pc.is_nan(cells), None, cells)
    if _is_text(cells.type) or pa.types.is_null(cells.type):
        cells = pc.utf8_trim_whitespace(cells.cast(pa.string()))
        return pc.if_else(pc.is_in(cells, pa.array(layout.missing, pa.string())), None, cells)
    return cells


def by_distinct(cells: pa.Array, meaning: Callable[[Any], Any], type: pa.DataType) -> pa.Array:
    """``meaning`` of every cell, called once for each distinct one; null where it returns None."""
    encoded = cells.dictionary_encode()
    meanings = [meaning(cell) for cell in encoded.dictionary.to_pylist()]
    return pa.array(meanings, type).take(encoded.indices)


def judged(column: pa.ChunkedArray, cells: pa.Array, values: pa.Array) -> Cells:
    """``values``, and the original text of those cells of ``column`` that are filled but have no
    value. ``cells`` is ``plain(column)``."""
    failed = pc.and_(pc.is_valid(cells), pc.is_null(values))
    if not pc.any(failed, min_count=0).as_py():
        return Cells(values)
    return Cells(values, pc.if_else(failed, _as_text(column.combine_chunks()), None))


def text(column: pa.ChunkedArray, layout: Layout) -> pa.Array:
    """Cells as trimmed text; null where blank. Whole numbers are written without a fraction."""
    cells = plain(column, layout)
    if pa.types.is_floating(cells.type):
        whole = _cast(cells, pa.int64())
        cells = cells if whole is None else whole
    return _as_text(cells)


def codes(column: pa.ChunkedArray, layout: Layout) -> pa.Array:
    """Symbols as text. A file that keeps them as numbers has lost their leading zeros; those come
    back."""
    cells = text(column, layout)
    is_number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    return pc.utf8_lpad(cells, 6, "0") if is_number else cells


def translated(cells: pa.Array, values: Mapping[str, str]) -> pa.Array:
    """``cells`` with those that ``values`` lists replaced."""
    places = pc.index_in(cells, pa.array(list(values), pa.string()))
    return pc.coalesce(pa.array(list(values.values()), pa.string()).take(places), cells)


def flags(column: pa.ChunkedArray, layout: Layout) -> Cells:
    """true/false, 1/0 or y/n, in either case."""
    cells = plain(column, layout)
    meanings = {"true": True, "1": True, "y": True, "false": False, "0": False, "n": False}
    values = by_distinct(cells, lambda cell: meanings.get(str(cell).lower()), pa.bool_())
    return judged(column, cells, values)


def counts(column: pa.ChunkedArray, layout: Layout, factor: int) -> Cells:
    """Whole numbers (shares, KRW), ``factor`` times what the cells say: exact int64. What is not
    whole even then is garbled."""
    cells = plain(column, layout)
    values = _whole(cells, layout, factor)
    if values is None:
        values = by_distinct(cells, lambda cell: _count(cell, layout, factor), pa.int64())
    return judged(column, cells, values)


def prices(column: pa.ChunkedArray, layout: Layout) -> Cells:
    """KRW a share, float64 (which holds hundredths of anything a price may be)."""
    cells = plain(column, layout)
    bare = _bare_numbers(cells, layout)
    values = None if bare is None else _cast(bare, pa.float64())
    if values is None or pc.any(pc.invert(pc.is_finite(values))).as_py():
        values = by_distinct(cells, lambda cell: _price(cell, layout), pa.float64())
    return judged(column, cells, values)


def amounts_from_shares(shares: Cells, price: Cells) -> Cells:
    """KRW: whole shares × KRW a share, exactly, then rounded to whole KRW with halves away from
    zero. Null where either is blank. Where either is garbled or the product is beyond int64, the
    text is "shares × price", which nobody takes for an amount."""
    near = pc.if_else(pc.less(pc.abs(price.values), _MAX_PRICE), price.values, None)
    product = pc.multiply(shares.values.cast(pa.decimal128(19, 0)), near.cast(pa.decimal128(18, 4)))
    krw = pc.round(product, 0, "half_towards_infinity")
    fits = pc.less_equal(pc.abs(krw), pa.scalar(Decimal(_MAX_INT64), krw.type))
    values = pc.if_else(fits, krw, None).cast(pa.int64())

    shares_said, price_said = _said(shares), _said(price)
    failed = pc.and_(pc.is_valid(shares_said), pc.is_valid(price_said))
    if shares.garbled is not None:
        failed = pc.or_(failed, pc.is_valid(shares.garbled))
    failed = pc.and_(failed, pc.is_null(values))
    if not pc.any(failed, min_count=0).as_py():
        return Cells(values)
    said = pc.binary_join_element_wise(
        shares_said, price_said, " × ", null_handling="replace", null_replacement=""
    )
    return Cells(values, pc.if_else(failed, said, None))


def _said(cells: Cells) -> pa.Array:
    values = cells.values.cast(pa.string())
    return values if cells.garbled is None else pc.coalesce(cells.garbled, values)


def _is_text(type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)
    )


def _as_text(cells: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if _is_text(cells.type) or pa.types.is_integer(cells.type):
        return cells.cast(pa.string())
    return by_distinct(cells, str, pa.string())


def _cast(cells: pa.Array, type: pa.DataType) -> pa.Array | None:
    """None where a value would change or is none."""
    try:
        return cells.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _number_pattern(thousands: str) -> str:
    whole = "[0-9]+"
    if thousands:
        whole += f"|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+"
    return rf"^[+-]?(?:(?:{whole})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def _bare_numbers(cells: pa.Array, layout: Layout) -> pa.Array | None:
    """Numbers, or text that Arrow casts to numbers; None if any cell is something else. Arrow's
    own casts are not asked: they take 0x10 for a number."""
    if not pa.types.is_string(cells.type):
        types = pa.types
        numeric = types.is_integer(cells.type) or types.is_floating(cells.type)
        return cells if numeric or types.is_decimal(cells.type) else None
    pattern = _number_pattern(layout.thousands)
    if not pc.all(pc.match_substring_regex(cells, pattern), min_count=0).as_py():
        return None
    return pc.replace_substring(cells, layout.thousands, "") if layout.thousands else cells


def _whole(cells: pa.Array, layout: Layout, factor: int) -> pa.Array | None:
    bare = _bare_numbers(cells, layout)
    if bare is None:
        return None
    if pa.types.is_string(bare.type):
        bare = pc.replace_substring_regex(bare, r"\.0*$", "")
    values = _cast(bare, pa.int64())
    if values is None or factor == 1:
        return values
    try:
        return pc.multiply_checked(values, factor)
    except pa.ArrowInvalid:
        return None


def _number(cell: Any, layout: Layout) -> Decimal | None:
    said = str(cell)
    if isinstance(cell, str):
        if not re.match(_number_pattern(layout.thousands), said):
            return None
        said = said.replace(layout.thousands, "") if layout.thousands else said
    try:
        number = Decimal(said)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _count(cell: Any, layout: Layout, factor: int) -> int | None:
    number = _number(cell, layout)
    # The exponent first: 1e999999 is not worth a million digits.
    if number is None or number.adjusted() > 19:
        return None
    scaled = number * factor
    return int(scaled) if scaled == int(scaled) and abs(scaled) <= _MAX_INT64 else None


def _price(cell: Any, layout: Layout) -> float | None:
    number = _number(cell, layout)
    return None if number is None or number.adjusted() > 300 else float(number)
