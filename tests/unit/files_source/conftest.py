"""Little dumps made on the spot, and the source that reads them."""

import gzip
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.sources import SourceError
from resources.sources.files import FilesSource

EXAM = date(2025, 11, 13)


class Hours:
    """Every weekday is a session; it ends at 16:30 on the exam day."""

    def is_session(self, day: date) -> bool:
        return day.weekday() < 5

    def close(self, session: date) -> time:
        return time(16, 30) if session == EXAM else time(15, 30)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a dump of bytes or of lines; .gz names are compressed."""

    def write(name: str, *content: str | bytes) -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = b"".join(c if isinstance(c, bytes) else f"{c}\n".encode() for c in content)
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """Write a parquet dump of columns. NaN stays NaN, as other writers than pandas leave it."""

    def parquet(name: str, **columns: Any) -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = pd.DataFrame(columns)
        table = pa.table(
            {c: pa.array(frame[c], from_pandas=frame[c].dtype != float) for c in frame}
        )
        pq.write_table(table, path)
        return path

    return parquet


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str], FilesSource]:
    """The source over the dumps written, by the text of its mapping file."""

    def source(mapping: str) -> FilesSource:
        data = tmp_path / "data"
        if not data.exists():
            data.mkdir()
        path = tmp_path / "dumps.toml"
        path.write_text(mapping, encoding="utf-8")
        return FilesSource(data, path, Hours())

    return source


@pytest.fixture
def refusal() -> Callable[..., str]:
    """The error's text, which is one line and is not followed by another error's."""

    def refusal(call: Callable[..., Any], *arguments: Any) -> str:
        with pytest.raises(SourceError) as error:
            call(*arguments)
        said = str(error.value)
        assert "\n" not in said and len(said) < 1500
        assert error.value.__suppress_context__ or error.value.__context__ is None
        return said

    return refusal
