"""Files of vendors into Arrow tables: the columns asked for, the cells as they stand.

csv and json cells come as text, parquet cells in the file's own types. What they mean is ``cells``'
business.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from resources.sources import SourceError
from resources.sources.layouts import Layout

_NAMES_SHOWN = 40
_NAME_SHOWN = 30


def read(path: Path, layout: Layout, key: str) -> pa.Table:
    """The vendor columns ``layout`` names, one row per row of the file.

    ``key`` is where the layout stands in the mapping file, for errors. Raises ``SourceError`` for a
    file that cannot be read and for a column it does not have.
    """
    wanted = layout.vendor_columns()
    file_format = layout.file_format
    try:
        if file_format == "parquet":
            return _parquet(path, wanted, key)
        content = path.read_bytes()
        if file_format.endswith(".gz"):
            content = gzip.decompress(content)
        if file_format.startswith("csv"):
            return _csv(path, content, layout, wanted, key)
        return _json(path, content, layout, wanted, key)
    except UnicodeError as error:
        raise SourceError(
            f"{path} is not {layout.encoding} text ({error}); set {key}.encoding to what it is, "
            "such as cp949"
        ) from None
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException) as error:
        said = " ".join(str(error).split())[:200]
        in_text = "UTF8" in said and file_format != "parquet"
        hint = f"; set {key}.encoding, such as cp949" if in_text else ""
        raise SourceError(
            f"{path} cannot be read as {file_format}: {said}{hint or _remedy(key)}"
        ) from None


def _remedy(key: str) -> str:
    return f"; copy the dump again, or correct {key}.format"


def _require(wanted: Mapping[str, str], names: list[str], path: Path, key: str) -> None:
    for where, column in wanted.items():
        if column not in names:
            # A quote that is never closed makes a name of the rest of the file.
            shown = ", ".join(" ".join(name.split())[:_NAME_SHOWN] for name in names[:_NAMES_SHOWN])
            shown += ", …" if len(names) > _NAMES_SHOWN else ""
            raise SourceError(
                f'{key}.{where} names column "{column}", which {path} does not have; '
                f"it has: {shown}"
            )
        if names.count(column) > 1:
            raise SourceError(
                f'{key}.{where} names column "{column}", which {path} has more than once'
            )


def _parquet(path: Path, wanted: Mapping[str, str], key: str) -> pa.Table:
    with parquet.ParquetFile(path) as file:
        _require(wanted, file.schema_arrow.names, path, key)
        table = file.read(columns=sorted(set(wanted.values())))
    # Text that is no UTF-8 is noticed here, with the file's name, or nowhere.
    table.validate(full=True)
    return table


def _csv(
    path: Path, content: bytes, layout: Layout, wanted: Mapping[str, str], key: str
) -> pa.Table:
    text = io.TextIOWrapper(io.BytesIO(content), layout.encoding, newline="")
    names = next(csv.reader(text), None)
    if names is None:
        raise ValueError("the file is empty")
    _require(wanted, names, path, key)
    columns = sorted(set(wanted.values()))
    utf8 = codecs.lookup(layout.encoding).name in ("utf-8", "utf-8-sig")
    return arrow_csv.read_csv(
        pa.BufferReader(content),
        # Arrow skips a BOM itself, and reads UTF-8 without a detour through Python.
        read_options=arrow_csv.ReadOptions(encoding="utf8" if utf8 else layout.encoding),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            strings_can_be_null=False,
        ),
    )


def _json(
    path: Path, content: bytes, layout: Layout, wanted: Mapping[str, str], key: str
) -> pa.Table:
    # Numbers stay the text they are: no detour through float.
    node: Any = json.loads(content.decode(layout.encoding), parse_float=str, parse_int=str)
    for step in (layout.records or "").split("."):
        if not isinstance(node, dict) or step not in node:
            has = ", ".join(node) if isinstance(node, dict) else f"a {type(node).__name__}"
            raise SourceError(
                f'{key}.records = "{layout.records}": {path} has no "{step}" there; it has: {has}'
            )
        node = node[step]
    if not isinstance(node, list) or not all(isinstance(record, dict) for record in node):
        raise SourceError(f'{key}.records = "{layout.records}" is no list of records in {path}')
    if node:
        _require(wanted, list(dict.fromkeys(name for record in node for name in record)), path, key)
    return pa.table(
        {
            column: pa.array([_text(record.get(column)) for record in node], pa.string())
            for column in sorted(set(wanted.values()))
        }
    )


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)
