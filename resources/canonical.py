"""Canonical rows: the explicit Arrow table that is written, and its checksum."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from resources.tables import Table


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
    hashable = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if pa.types.is_decimal(column.type):
            column = _hundredths(column)
        elif not pa.types.is_string(column.type):
            column = column.cast(pa.int64() if not pa.types.is_date(column.type) else pa.int32())
        if column.null_count:
            hashable[f"{name} is null"] = column.is_null().to_pandas()
            column = column.fill_null("" if pa.types.is_string(column.type) else 0)
        if pa.types.is_string(column.type):
            # As categories: each text is hashed once.
            column = column.dictionary_encode()
        hashable[name] = column.to_pandas()
    # Null marks take part where a column has nulls; adding them for all would cost time.
    total = int(pd.util.hash_pandas_object(pd.DataFrame(hashable), index=False).sum())
    return total - 2**64 if total >= 2**63 else total


def _hundredths(prices: pa.ChunkedArray) -> pa.ChunkedArray:
    """Prices as whole numbers, so that 100 and 100.00 are the same price."""
    if prices.type != pa.decimal128(12, 2):
        prices = pc.multiply(prices, 100).cast(pa.decimal128(38, prices.type.scale))
        return pc.round(prices).cast(pa.int64())
    # What a decimal128 holds are its hundredths; those of 12 digits fill the first 8 of 16 bytes.
    chunks = []
    for chunk in prices.chunks:
        numbers = np.frombuffer(chunk.buffers()[1], dtype="<i8")[::2]
        numbers = numbers[chunk.offset : chunk.offset + len(chunk)]
        chunks.append(pa.array(numbers, mask=chunk.is_null().to_numpy(zero_copy_only=False)))
    return pa.chunked_array(chunks, pa.int64())
