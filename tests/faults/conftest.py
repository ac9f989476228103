from collections.abc import Callable
from pathlib import Path

import pytest

from resources.databases import TimescaleDB
from tests.databases import Query
from tests.faults.market import MAPPING, Market


@pytest.fixture
def market(tmp_path: Path, timescaledb: TimescaleDB) -> Market:
    """Dumps to be written, on the way into empty tables."""
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return Market(tmp_path, timescaledb)


@pytest.fixture
def loaded(query: Query) -> Callable[[], list[int]]:
    """The volumes in daily_bars."""
    return lambda: [row[0] for row in query("SELECT volume FROM daily_bars ORDER BY volume")]


@pytest.fixture
def refused(query: Query) -> Callable[[], list[tuple[str, str]]]:
    """Volume and reason of every row in the quarantine."""
    return lambda: query("SELECT row ->> 'volume', reason FROM quarantine ORDER BY id")
