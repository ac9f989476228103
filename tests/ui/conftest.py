"""A browser, and where its pictures are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from embedded.paths import CHECKOUT
from embedded.stack import Stack
from resources.calendar import krx_calendar, seoul_now
from resources.tables import Dataset
from tests.conftest import running, stack_environment
from tests.ui.browser import running_browser, visit
from tests.ui.dagster import materialize

expect.set_options(timeout=60_000)


# For a module only: while Playwright runs, no other test can use asyncio in this thread.
@pytest.fixture(scope="module")
def browser(tests_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tests_root, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="session")
def pictures() -> Path:
    """The folder `ui` in TEST_ARTEFACTS_DIR, without the pictures of an earlier run."""
    folder = CHECKOUT / (os.environ.get("TEST_ARTEFACTS_DIR") or ".ci/artefacts") / "ui"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in folder.glob("*.png"):
        picture.unlink()
    return folder


@pytest.fixture(scope="module")
def closed_sessions() -> list[date]:
    """The newest 60 sessions before today."""
    today = seoul_now().date()
    return [session for session in krx_calendar().sessions if session < today][-60:]


@pytest.fixture(scope="module")
def dagster(
    closed_sessions: list[date], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack with Dagster over the simulated market. Of its newest 12 sessions symbols are
    loaded, and everything else but for the last five."""
    directory = tmp_path_factory.mktemp("ui")
    firsts = {f"{name}_FIRST_SESSION".upper(): str(closed_sessions[0]) for name in Dataset}
    with running(Stack(directory, stack_environment(directory) | firsts), dagster=True) as stack:
        materialize(stack, "symbols", closed_sessions[-12:])
        materialize(
            stack, "daily_bars,minute_bars,supply_demand,market_flows", closed_sessions[-12:-5]
        )
        yield stack


@pytest.fixture
def visit_dagster(
    browser: Browser, dagster: Stack, pictures: Path, request: pytest.FixtureRequest
) -> AbstractContextManager[Page]:
    address = dagster.program("dagster-webserver").address
    return visit(browser, address, pictures, request.node.name)
