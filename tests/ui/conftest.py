"""A browser, and where its pictures are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.root import TESTS, ensure_root
from tests.ui.browser import running_browser

expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def tests_root(request: pytest.FixtureRequest) -> Path:
    """The tests' Debian root; where it is built only now, its progress is shown."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    try:
        with capture.global_and_fixture_disabled():
            return ensure_root(TESTS)
    except StackError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


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
