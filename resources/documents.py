"""Rows as JSON documents, their cells as the source gave them: what the quarantine keeps."""

import json
import math
from typing import Any

import pandas as pd


def documents(rows: pd.DataFrame) -> list[str]:
    """A document per row."""
    return [_document(row) for row in rows.to_dict("records")]


def _document(row: dict[Any, Any]) -> str:
    return json.dumps({name: _json_value(value) for name, value in row.items()}, ensure_ascii=False)


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
