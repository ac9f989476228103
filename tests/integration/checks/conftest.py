"""A small simulated market, loaded as the platform loads it, and its checks."""

from collections.abc import Callable, Sequence
from datetime import date

import pandas as pd
import pytest

from resources.calendar import krx_calendar, seoul_now
from resources.checks.evaluation import evaluate
from resources.checks.results import Result
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.settings import market_settings
from resources.sources.simulated.source import SimulatedSource
from resources.tables import TABLES, Dataset

BEFORE, SESSION = date(2025, 6, 12), date(2025, 6, 13)
SIZE = 100

Change = Callable[[pd.DataFrame], pd.DataFrame]


class Altered:
    """The simulated market, with one dataset of one session altered."""

    name = "simulated"
    simulated = True

    def __init__(self, dataset: Dataset | None = None, change: Change | None = None) -> None:
        self._market = SimulatedSource(krx_calendar(), seoul_now, size=SIZE)
        self._dataset, self._change = dataset, change

    def __getattr__(self, name: str) -> Callable[..., pd.DataFrame]:
        def ask(session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
            frame: pd.DataFrame = getattr(self._market, name)(session, symbols)
            if self._change and name == self._dataset and session == SESSION:
                return self._change(frame)
            return frame

        return ask


@pytest.fixture
def load(databases) -> Callable[..., None]:
    """Load a session of a dataset."""

    def load(
        dataset: Dataset,
        session: date = SESSION,
        change: Change | None = None,
        *,
        provisional: bool = False,
        symbols: tuple[str, ...] | None = None,
    ) -> None:
        source, now = Altered(dataset, change), seoul_now()
        attempt = Attempt(
            TABLES[dataset], session, symbols, "run", source.name, True, provisional, now
        )
        ingest(
            source,
            databases.of(dataset),
            attempt,
            source_timeout=60,
            now=now,
            allow_shrink=True,
        )

    return load


@pytest.fixture
def market(load) -> None:
    """Two sessions of everything."""
    for session in (BEFORE, SESSION):
        for dataset in Dataset:
            load(dataset, session)


@pytest.fixture
def check(databases) -> Callable[..., dict[str, Result]]:
    """What every rule finds in a session, by name."""

    def check(dataset: Dataset, session: date = SESSION) -> dict[str, Result]:
        results = evaluate(
            databases,
            dataset,
            session,
            calendar=krx_calendar(),
            settings=market_settings({}),
            now=seoul_now(),
        )
        return {result.rule: result for result in results}

    return check


@pytest.fixture
def failing(check) -> Callable[..., dict[str, tuple[str, int]]]:
    """The rules that fail, with severity and how much they found."""

    def failing(dataset: Dataset, session: date = SESSION) -> dict[str, tuple[str, int]]:
        return {
            name: (result.severity.value, result.found)
            for name, result in check(dataset, session).items()
            if not result.passed
        }

    return failing
