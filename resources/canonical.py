"""Canonical rows: the explicit Arrow table that is written, and its checksum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from resources.tables import Table

Hashes = np.ndarray[Any, np.dtype[np.uint64]]

_BATCH = 65_536


class CanonicalError(Exception):
    """Rows are not of the types their table has; the text names the column."""


def canonical(frame: pd.DataFrame, table: Table) -> pa.Table:
    """``frame``'s validated rows in ``table``'s Arrow schema. Casts are safe: whatever would
    lose something raises ``CanonicalError``."""
    arrays = []
    for field in table.arrow_schema():
        try:
            values = pa.array(frame[field.name], from_pandas=True)
            arrays.append(values.cast(field.type))
            # The one cast Arrow calls safe that is not: it drops the time of day.
            dated = pa.types.is_date(field.type) and pa.types.is_timestamp(values.type)
            if dated and not arrays[-1].cast(values.type).equals(values):
                raise pa.ArrowInvalid("a date has a time of day")
        except pa.ArrowInvalid as error:
            raise CanonicalError(f"{table.name}.{field.name}: {error}") from None
    return pa.table(arrays, schema=table.arrow_schema())


def require_canonical(rows: pa.Table, table: Table) -> None:
    """Raise ``CanonicalError`` unless ``rows`` has exactly ``table``'s Arrow schema.

    ADBC's binary COPY checks widths only: it would store the bits of a float64 in a bigint.
    """
    wanted = table.arrow_schema()
    if not rows.schema.equals(wanted):
        given = {field.name: field for field in rows.schema}
        wrong = [
            f"{field.name} is {given[field.name].type if field.name in given else 'missing'}, "
            f"not {field.type}"
            for field in wanted
            if field.name not in given or not given[field.name].equals(field)
        ] or ["columns are in another order or too many"]
        raise CanonicalError(f"{table.name}: {'; '.join(wrong)}")


def checksum(rows: pa.Table) -> int:
    """A signed 64-bit number that depends on every value of every row, on how often a row
    occurs, and not on the rows' order. Rows read back from the database give the same one."""
    # Null marks take part where a column has nulls; adding them for all would cost time.
    marked = [column.null_count > 0 for column in rows.columns]
    total = sum(
        int(_hashes(batch, marked).sum()) for batch in rows.to_batches(max_chunksize=_BATCH)
    )
    return (total + 2**63) % 2**64 - 2**63


def _hashes(rows: pa.RecordBatch, marked: Sequence[bool]) -> Hashes:
    """One of each row: those of its cells put together as Python does a tuple's, which is what
    ``pandas.util.hash_pandas_object`` gives, in a third of the time. Ledgers have their sums."""
    cells = []
    for column, with_marks in zip(rows.columns, marked, strict=True):
        is_text = pa.types.is_string(column.type)
        values = column if is_text else _whole_numbers(column)
        if with_marks:
            cells.append(pd.util.hash_array(column.is_null().to_numpy(zero_copy_only=False)))
            values = values.fill_null("" if is_text else 0)
        if is_text:
            # Each text is hashed once.
            found = values.dictionary_encode()
            texts = found.dictionary.to_numpy(zero_copy_only=False)
            cells.append(pd.util.hash_array(texts, categorize=False)[found.indices.to_numpy()])
        else:
            cells.append(pd.util.hash_array(values.to_numpy()))
    combined, factor = np.full(len(rows), 0x345678, dtype=np.uint64), 1_000_003
    for place, hashes in enumerate(cells):
        combined ^= hashes
        combined *= np.uint64(factor)
        factor += 82_520 + 2 * (len(cells) - place)
    return combined + np.uint64(97_531)


def _whole_numbers(column: pa.Array) -> pa.Array:
    if pa.types.is_decimal(column.type):
        return _hundredths(column)
    return column.cast(pa.int32() if pa.types.is_date(column.type) else pa.int64())


def _hundredths(prices: pa.Array) -> pa.Array:
    """Prices as whole numbers, so that 100 and 100.00 are the same price."""
    if prices.type.scale != 2 or prices.type.precision > 18:
        prices = pc.multiply(prices, 100).cast(pa.decimal128(38, prices.type.scale))
        return pc.round(prices).cast(pa.int64())
    # What a decimal128 holds are its hundredths; those of 18 digits fill the first 8 of 16 bytes.
    numbers = np.frombuffer(prices.buffers()[1], dtype="<i8")[::2]
    numbers = numbers[prices.offset : prices.offset + len(prices)]
    nulls = prices.is_null().to_numpy(zero_copy_only=False) if prices.null_count else None
    return pa.array(numbers, mask=nulls)
