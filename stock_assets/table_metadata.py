"""What the UI shows of a table: its name and its columns, from ``resources.tables`` and
``resources.aggregates``."""

from typing import Any

import dagster as dg

from resources.aggregates import Aggregate
from resources.tables import Table


def table_metadata(table: Table | Aggregate) -> dict[str, Any]:
    """Asset metadata: ``dagster/table_name`` and ``dagster/column_schema``."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.kind.value,
            description=column.description,
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in table.columns
    ]
    key = dg.TableConstraints(other=[f"PRIMARY KEY ({', '.join(table.key)})"])
    return {
        "dagster/table_name": f"public.{table.name}",
        "dagster/column_schema": dg.TableSchema(columns=columns, constraints=key),
    }
