"""Rows of the quarantine as the source gave them: what JSON holds as text is a date or an instant
again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from resources.tables import Kind, Table


@dataclass(frozen=True)
class RefusedRow:
    """One row of the quarantine; ``row`` is its JSON."""

    id: int
    reason: str
    row: str
    source: str
    simulated: bool
    """Whether the load that refused it was."""


# Kinds whose cells are text in JSON, and what is said of a cell that was none of them.
_AS_TEXT: Mapping[Kind, str] = {
    Kind.TEXT: "text",
    Kind.DATE: "a date",
    Kind.TIMESTAMPTZ: "a time with a zone",
}


def cannot_be_judged(row: RefusedRow, table: Table) -> bool:
    """Whether a cell was refused for its type and reads now as if it had been of it, as 2025-01-02
    does where the source gave text for a date: only the source can say what it was."""
    cells = json.loads(row.row)
    return any(
        isinstance(cells.get(column.name), str)
        and f"{column.name} is not {_AS_TEXT[column.kind]}: " in row.reason
        for column in table.columns
        if column.kind in _AS_TEXT
    )


def as_they_came(rows: Sequence[RefusedRow], table: Table) -> pd.DataFrame:
    """``table``'s columns, with objects in them."""
    documents = [json.loads(row.row) for row in rows]
    return pd.DataFrame(
        {
            column.name: pd.Series(
                [_cell(document.get(column.name), column.kind) for document in documents],
                dtype=object,
            )
            for column in table.columns
        }
    )


def _cell(value: object, kind: Kind) -> object:
    if not isinstance(value, str) or kind not in _MEANT:
        return value
    try:
        return _MEANT[kind](value)
    except ValueError:
        return value


def _date(text: str) -> object:
    # A date that was an instant at midnight is the same date; one with a time of day is refused.
    return date.fromisoformat(text) if len(text) == len("2025-01-02") else _instant(text)


def _instant(text: str) -> object:
    return datetime.fromisoformat(text)


_MEANT: Mapping[Kind, Callable[[str], object]] = {Kind.DATE: _date, Kind.TIMESTAMPTZ: _instant}
