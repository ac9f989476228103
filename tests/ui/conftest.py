"""A browser, and where its pictures are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from embedded.paths import CHECKOUT
from tests.ui.browser import running_browser

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
