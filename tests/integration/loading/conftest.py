from collections.abc import Callable
from datetime import date

import pytest

from resources.ingestion import ingest
from resources.loading import Attempt
from resources.tables import DAILY_BARS, Table
from tests.integration.loading.dump import NOW, SESSION, Dump


@pytest.fixture
def run(timescaledb) -> Callable[..., object]:
    def run(
        source: Dump,
        table: Table = DAILY_BARS,
        *,
        session: date = SESSION,
        symbols: tuple[str, ...] | None = None,
        timeout: float = 30,
        run_id: str = "run",
        **allowed: bool,
    ) -> object:
        attempt = Attempt(
            table, session, symbols, run_id, source.name, source.simulated, False, NOW
        )
        return ingest(source, timescaledb, attempt, source_timeout=timeout, now=NOW, **allowed)

    return run


@pytest.fixture
def stored(query) -> Callable[[], list[tuple[object, ...]]]:
    """Everything in daily_bars, in order."""
    return lambda: query("SELECT * FROM daily_bars ORDER BY symbol, date")
