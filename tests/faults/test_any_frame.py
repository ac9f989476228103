"""Whatever a source answers, every row of it is accounted for: loaded or quarantined, once.

Examples are the same in every run; ``--hypothesis-profile search`` tries thousands of new ones.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
from adbc_driver_postgresql import dbapi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources import ingestion
from resources.databases import Database
from resources.ingestion import IngestionError, ingest
from resources.loading import Attempt
from resources.tables import TABLES, Dataset
from tests.faults.frames import MARKERS, NOW, SESSION, Given, other_tables, tables

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
datasets = pytest.mark.parametrize("dataset", list(Dataset))


class Answer:
    """A source that gives one frame, whatever it is asked for."""

    name = "answer"
    simulated = False

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        return self._frame

    symbols = minute_bars = supply_demand = market_flows = daily_bars
    companies = etf_constituents = daily_bars


@dataclass(frozen=True)
class Outcome:
    """What became of a frame: what the ledger says, and what there is."""

    error: str | None
    outcome: str
    rows_loaded: int
    rows_quarantined: int
    stored: int
    refused: int
    markers: Counter[str]
    """Of the rows stored and of those in the quarantine."""


@pytest.fixture
def outcome(
    timescaledb, application_database, query, query_application
) -> Iterator[Callable[[Dataset, Given], Outcome]]:
    """Ingest a frame into its table, which is empty before."""

    def outcome(dataset: Dataset, given: Given) -> Outcome:
        table, marker = TABLES[dataset].name, MARKERS[dataset]
        at_application = TABLES[dataset].database == "application_database"
        ask = query_application if at_application else query
        for full in (table, "ingest_ledger", "quarantine"):
            ask(f"DELETE FROM {full}")  # noqa: S608
        database = application_database if at_application else timescaledb
        error = _ingest(database, dataset, given.frame())
        (ledger,) = ask("SELECT error, outcome, rows_loaded, rows_quarantined FROM ingest_ledger")
        assert ledger[0] == error
        stored = ask(f"SELECT {marker}::text FROM {table}")  # noqa: S608
        refused = ask(f"SELECT row ->> '{marker}' FROM quarantine")  # noqa: S608
        markers = Counter(row[0] for row in stored + refused)
        return Outcome(*ledger, len(stored), len(refused), markers)

    with _lasting_connections():
        yield outcome


@contextmanager
def _lasting_connections() -> Iterator[None]:
    """Connecting takes longer than everything else: the examples share a connection."""
    kept: dict[str, dbapi.Connection] = {}

    class Lasting:
        def __init__(self, connection: dbapi.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def close(self) -> None:
            self._connection.rollback()

    really_open = Database.open

    def open_once(database: Database) -> Lasting:
        if database.address not in kept:
            kept[database.address] = really_open(database)
        return Lasting(kept[database.address])

    with patch.object(Database, "open", open_once):
        yield
    for connection in kept.values():
        connection.close()


def _ingest(database: Database, dataset: Dataset, frame: pd.DataFrame) -> str | None:
    attempt = Attempt(TABLES[dataset], SESSION, None, "run", "answer", False, False, NOW)
    try:
        ingest(Answer(frame), database, attempt, source_timeout=60, now=NOW)
    except IngestionError as error:
        return str(error)
    return None


@datasets
def test_every_row_is_loaded_or_quarantined(dataset, outcome):
    @shared
    @given(tables(dataset), st.booleans())
    def every_row(given: Given, limited: bool) -> None:
        limit = ingestion._REFUSED_ROWS if limited else 1_000_000
        with patch.object(ingestion, "_REFUSED_ROWS", limit):
            found = outcome(dataset, given)
        assert (found.stored, found.refused) == (found.rows_loaded, found.rows_quarantined)
        rows = len(given.rows)
        if found.outcome == "failed":
            # Nothing was said of any row.
            assert found.stored == found.refused == 0
            assert re.search("without a single row|are all blank", found.error), found.error
            return
        if found.outcome == "refused":
            assert found.stored == 0
            assert found.error.startswith(f"{found.refused} of {rows} rows were refused")
        # Where the limit refused the session, its good rows are in neither.
        if found.outcome == "committed" or not limited:
            assert found.stored + found.refused == rows
            if given.marked:
                assert found.markers == Counter(map(str, range(rows)))

    every_row()


@datasets
def test_other_columns_than_the_tables_are_one_clear_error(dataset, outcome):
    # Rows do not matter here: half as many will do.
    @settings(shared, max_examples=settings().max_examples // 2)
    @given(other_tables(dataset))
    def one_error(given: Given) -> None:
        found = outcome(dataset, given)
        assert found.outcome == "failed"
        assert (found.stored, found.refused) == (0, 0)
        assert re.search(
            "without a single row|are all blank|the source's columns are not the table's",
            found.error,
        ), found.error

    one_error()
