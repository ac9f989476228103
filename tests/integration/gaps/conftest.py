from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import pytest

from resources.aggregates import AGGREGATES
from resources.checks.reconciliation import newest_loads, outdated, reconcile
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.refresh import check_server, record_refresh, refresh
from resources.tables import TABLES, Dataset
from tests.integration.gaps.market import FIRST, NOW, Change, Changed

Load = Callable[..., None]


@pytest.fixture
def load(databases) -> Load:
    """Load sessions of datasets (default: all) from the market, changed where a change is named."""

    def load(
        *datasets: str,
        sessions: Sequence[date] = (FIRST,),
        only: tuple[str, ...] | None = None,
        provisional: bool = False,
        **changes: Change,
    ) -> None:
        for name in datasets or list(Dataset):
            dataset = Dataset(name)
            database = databases.of(dataset)
            for session in sessions:
                attempt = Attempt(
                    TABLES[dataset], session, only, "run", "market", False, provisional, NOW
                )
                ingest(
                    Changed(**changes),
                    database,
                    attempt,
                    source_timeout=60,
                    now=NOW,
                    allow_shrink=True,
                )

    return load


@pytest.fixture
def refresh_candles(maintainer) -> Callable[..., None]:
    server = check_server(maintainer)

    def refresh_candles(sessions: Sequence[date] = (FIRST,)) -> None:
        for session in sessions:
            for aggregate in AGGREGATES:
                record_refresh(maintainer, refresh(maintainer, server, aggregate, session), "run")

    return refresh_candles


@pytest.fixture
def compare(databases) -> Callable[[], dict[str, Any]]:
    """Compare what is outdated; what was found, by asset and rule (of the newest session)."""

    def compare() -> dict[str, Any]:
        loads = newest_loads(databases)
        what = outdated(databases, loads)
        return {
            f"{one.asset}.{one.rule.name}": result
            for one, _, result in reversed(list(reconcile(databases, loads, what, "run")))
        }

    return compare
