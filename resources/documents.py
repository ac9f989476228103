"""Rows as JSON documents, their cells as the source gave them: what the quarantine keeps."""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd


def documents(rows: pd.DataFrame) -> list[str]:
    """A document per row. Column by column, since a million rows may be refused: a cell at a time
    takes seven times as long."""
    columns = [
        [f"{json.dumps(name)}: {text}" for text in _texts(cells)] for name, cells in rows.items()
    ]
    return [f"{{{', '.join(cells)}}}" for cells in zip(*columns, strict=True)]


def _texts(cells: pd.Series) -> Iterable[str]:
    """Each cell as JSON."""
    if cells.dtype == object:
        return [_PLAIN.get(type(cell), _text)(cell) for cell in cells]
    if isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "f":
        return [repr(cell) if math.isfinite(cell) else _text(cell) for cell in cells.tolist()]
    codes, found = pd.factorize(cells)
    # Nulls have the code -1: the last place.
    texts = [*(_text(cell) for cell in found), "null"]
    return [texts[code] for code in codes.tolist()]


def _text(cell: object) -> str:
    return json.dumps(_json_value(cell), ensure_ascii=False)


# Most cells by far; their subclasses, numpy's numbers too, may be anything.
_PLAIN: dict[type, Callable[[Any], str]] = {
    str: lambda cell: json.dumps(storable(cell), ensure_ascii=False),
    int: lambda cell: str(cell) if -(2**63) <= cell < 2**63 else _text(cell),
    type(None): lambda _: "null",
}


def _json_value(value: object) -> object:
    """A cell as JSON holds it: text, number, boolean or null as they are, the rest as text."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        value = item()  # numpy's numbers
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else (None if math.isnan(value) else str(value))
    try:
        text = str(value)
    except ValueError:  # a whole number of more than 4,300 digits
        return (
            hex(value) if isinstance(value, int) else f"{type(value).__name__} that cannot be shown"
        )
    return value if isinstance(value, int) else storable(text)


def storable(text: str) -> str:
    """``text`` without what jsonb and text cannot hold (NUL, lone surrogates), shown escaped."""
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()
