"""Small tables in metadata."""

from collections.abc import Mapping, Sequence

import dagster as dg

_TYPES = {bool: "bool", int: "int", float: "float"}


def metadata_table(
    columns: Sequence[str], rows: Sequence[Sequence[str | int | float | bool]]
) -> dg.TableMetadataValue:
    """A table as the UI shows it; with no rows it has its columns still."""
    first: Sequence[object] = rows[0] if rows else [""] * len(columns)
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows],
        schema=dg.TableSchema(
            columns=[
                dg.TableColumn(name, _TYPES.get(type(cell), "string"))
                for name, cell in zip(columns, first, strict=True)
            ]
        ),
    )


def refused_by_reason(reasons: Mapping[str, int]) -> dict[str, dg.TableMetadataValue | int]:
    """What a record says of refused rows, by reason: as a table to read, and as numbers, which the
    UI plots over sessions. Nothing where there are none."""
    if not reasons:
        return {}
    return {
        "refused_by_reason": metadata_table(["reason", "rows"], list(reasons.items())),
        **{f"refused: {reason}": rows for reason, rows in reasons.items()},
    }
