"""Dagster as the tests in a browser need it: loads made without one, pictures, metadata."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

from playwright.sync_api import Locator, Page

from embedded.stack import Stack

CANDLES = ("candles_5m", "daily_candles", "volume_profile")


def materialize(stack: Stack, assets: str, sessions: list[date]) -> None:
    # fmt: off
    result = subprocess.run(
        [
            sys.executable, "-P", "-m", "dagster", "asset", "materialize",
            "-m", "stock_assets.definitions", "--select", assets,
            "--partition-range", f"{sessions[0]}...{sessions[-1]}",
        ],
        cwd=stack.directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **stack.environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    # fmt: on
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def metadata(page: Page, name: str) -> Locator:
    row = page.get_by_role("row").filter(has=page.get_by_role("cell", name=name, exact=True))
    return row.get_by_role("cell").nth(1)


def picture(page: Page, pictures: Path, name: str) -> None:
    page.screenshot(path=pictures / f"{name}.png", animations="disabled")
