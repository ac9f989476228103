"""Dagster's UI as a user has it: a whole stack, and a browser that clicks."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from functools import partial
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from embedded.stack import Stack
from resources.tables import Dataset
from stock_assets.session_report import PARTS
from tests.integration.access import login
from tests.ui.dagster import CANDLES, materialize, metadata, picture

#: The daemon looks at backfills every 30 seconds.
BACKFILL_TIMEOUT = 240_000


def test_five_sessions_are_backfilled_from_the_asset_page_and_show_their_counts(
    visit_dagster: AbstractContextManager[Page],
    dagster: Stack,
    closed_sessions: list[date],
    pictures: Path,
) -> None:
    sessions = closed_sessions[-5:]
    with visit_dagster as page:
        take = partial(picture, page, pictures)
        page.get_by_role("link", name="Catalog").click()
        page.get_by_role("link", name="daily_bars").first.click()
        _launch_backfill(page, sessions, take)
        _watch(page, take)
        loaded = _loaded(dagster, sessions)
        _read_log(page, {session: rows for session, (rows, _) in loaded.items()}, take)
        page.get_by_role("link", name="Catalog").click()
        page.get_by_role("link", name="daily_bars").first.click()
        page.get_by_role("tab", name="Partitions").click()
        for session in sessions:
            page.get_by_title(str(session)).first.click()
            rows, checksum = loaded[session]
            # No other session has this checksum, so what is seen is this session's.
            expect(metadata(page, "checksum")).to_have_text(checksum)
            expect(metadata(page, "dagster/partition_row_count")).to_have_text(str(rows))
            expect(metadata(page, "source")).to_have_text("simulated")
        take("partitions")


def _launch_backfill(page: Page, sessions: list[date], take: Callable[[str], None]) -> None:
    expect(page.get_by_text("PRIMARY KEY (symbol, date)")).to_be_visible()
    take("asset")
    page.get_by_role("button", name="Materialize…").click()
    dialog = page.get_by_role("dialog")
    selection = dialog.get_by_role("textbox")
    selection.fill(f"[{sessions[0]}...{sessions[-1]}]")
    selection.press("Enter")
    expect(dialog.get_by_text("5 partitions", exact=True)).to_be_visible()
    expect(dialog.get_by_text("Backfills all partitions in a single run.")).to_be_visible()
    expect(dialog.get_by_text("Loading")).to_have_count(0)
    take("dialog")
    dialog.get_by_role("button", name="Launch backfill").click()


def _watch(page: Page, take: Callable[[str], None]) -> None:
    toast = page.locator("[data-sonner-toast]").filter(has_text="Created backfill")
    toast.get_by_role("link", name="View").click()
    # The notification stays for as long as the mouse is over it.
    page.get_by_text("Partition selection").hover()
    expect(page.get_by_text("% completed")).to_be_visible()
    take("backfill-launched")
    # Sessions asked for, in progress, succeeded and failed.
    finished = re.compile(r"^daily_bars.*100% completed\s*5\s*0\s*5\s*0$")
    row = page.locator("div").filter(has_text=finished).last
    expect(row).to_be_visible(timeout=BACKFILL_TIMEOUT)
    expect(toast).to_be_hidden()
    take("backfill-finished")


def _read_log(page: Page, rows: dict[date, int], take: Callable[[str], None]) -> None:
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("link", name="View", exact=True).click()
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    page.get_by_placeholder("Filter…").fill("rows loaded")
    for number, (session, count) in enumerate(rows.items(), 1):
        progress = rf"{session}: {count:,} rows loaded, .* \[{number}/{len(rows)} sessions, "
        expect(page.get_by_text(re.compile(progress))).to_be_visible()
    take("run")


def _loaded(stack: Stack, sessions: list[date]) -> dict[date, tuple[int, str]]:
    """Rows in the table, and the ledger's checksum, of each session."""
    with login(stack, "timescaledb") as connection:
        found = connection.execute(
            """SELECT session, (SELECT count(*) FROM daily_bars WHERE date = session), checksum
               FROM ingest_ledger
               WHERE asset = 'daily_bars' AND outcome = 'committed' AND session = ANY (%s)
               ORDER BY session""",
            (sessions,),
        ).fetchall()
    assert [session for session, *_ in found] == sessions
    assert all(rows > 0 for _, rows, _ in found)
    return {session: (rows, f"{checksum & (2**64 - 1):016x}") for session, rows, checksum in found}


def test_lineage_leads_from_symbols_to_bars_and_flows(
    visit_dagster: AbstractContextManager[Page], pictures: Path
) -> None:
    with visit_dagster as page:
        # Large enough for all of the graph, at a size that can be read.
        page.set_viewport_size({"width": 3600, "height": 3200})
        page.get_by_role("link", name="Lineage").click()
        expect(page.locator("foreignObject").filter(has_text="reference")).to_be_visible()
        page.get_by_role("button", name="settings", exact=True).click()
        page.get_by_role("menuitem", name="Expand all groups").click()
        expect(page.get_by_role("menuitem", name="Collapse all groups")).to_be_visible()
        # A page that opens fits the graph into the window.
        page.reload()
        expect(_box(page, "symbols")).to_be_visible()
        expected = {
            ("symbols", "daily_bars"),
            ("symbols", "minute_bars"),
            ("symbols", "supply_demand"),
            ("symbols", "companies"),
            ("symbols", "etf_constituents"),
            ("minute_bars", "candles_5m"),
            ("minute_bars", "volume_profile"),
            ("candles_5m", "daily_candles"),
            ("daily_bars", "compression"),
            ("minute_bars", "compression"),
            ("supply_demand", "compression"),
            ("market_flows", "compression"),
            ("compression", "retention"),
            ("candles_5m", "retention"),
            ("daily_candles", "retention"),
            ("volume_profile", "retention"),
            *((asset, "gaps") for asset in (*Dataset, *CANDLES)),
            ("symbols", "session_report"),
            ("daily_bars", "session_report"),
            ("minute_bars", "session_report"),
            ("supply_demand", "session_report"),
            ("candles_5m", "session_report"),
            ("daily_candles", "session_report"),
            ("volume_profile", "session_report"),
        }
        # The whole graph is larger than what Dagster draws at once; tests/unit holds all of it.
        found = _arrows(page)
        assert found <= expected
        assert found >= {
            ("symbols", "daily_bars"),
            ("symbols", "minute_bars"),
            ("minute_bars", "candles_5m"),
            ("minute_bars", "volume_profile"),
            ("candles_5m", "daily_candles"),
        }
        # For the README what holds data, without those that look at all of it.
        page.set_viewport_size({"width": 1900, "height": 1700})
        page.locator(".CodeMirror").first.click()
        page.keyboard.insert_text(" or ".join(f"key:{asset}" for asset in (*Dataset, *CANDLES)))
        page.keyboard.press("Enter")
        expect(_box(page, "gaps")).to_have_count(0)
        page.reload()
        for asset in (*Dataset, *CANDLES):
            expect(_box(page, asset)).to_contain_text(re.compile(r"\d partitions"))
        picture(page, pictures, "lineage")


_ASSETS = (*Dataset, *CANDLES, "session_report", "compression", "retention", "gaps")


def _box(page: Page, asset: str) -> Locator:
    return page.locator("foreignObject").filter(has_text=re.compile(f"^{asset}(?![a-z_])"))


def _arrows(page: Page) -> set[tuple[str, str]]:
    """Which asset's box leads to which, by where the arrows begin and end."""
    sides = ("x", "y", "width", "height")
    boxes = {
        str(name): [float(box.get_attribute(side) or 0) for side in sides]
        for name in _ASSETS
        # What lies outside the window is not drawn.
        for box in _box(page, name).all()
    }

    def at(px: float, py: float, side: int) -> str | None:
        for name, (x, y, width, height) in boxes.items():
            if abs(px - x - side * width) < 10 and y < py < y + height:
                return name
        return None

    found = set()
    for path in page.locator("path[marker-end]").all():
        numbers = [float(text) for text in re.findall(r"-?[\d.]+", path.get_attribute("d") or "")]
        begin, end = at(*numbers[:2], side=1), at(*numbers[-2:], side=0)
        if begin and end:
            found.add((begin, end))
    return found


def test_a_session_s_report_shows_its_parts_and_a_picture_of_its_close(
    visit_dagster: AbstractContextManager[Page],
    dagster: Stack,
    closed_sessions: list[date],
    pictures: Path,
) -> None:
    session = closed_sessions[-6]
    materialize(dagster, ",".join((*CANDLES, "session_report")), [session])
    with visit_dagster as page:
        page.goto(f"/assets/session_report?view=partitions&partition={session}")
        expect(metadata(page, "standing")).to_have_text("trusted")
        parts = metadata(page, "datasets")
        for dataset in PARTS:
            row = parts.get_by_role("row").filter(has_text=re.compile(f"^{dataset}"))
            expect(row).to_contain_text("simulated")
        metadata(page, "picture").get_by_text("[Show Markdown]").click()
        image = page.get_by_role("dialog").locator("img")
        expect(image).to_have_attribute("src", re.compile("^data:image/png;base64,"))
        image.evaluate("image => image.decode()")
        drawn = image.evaluate(_DRAWN)
        assert (drawn["width"], drawn["height"]) == (720, 320)
        # Up, down, and paper: what was decoded is a drawing, not one colour.
        assert drawn["red"] > 500
        assert drawn["blue"] > 500
        assert drawn["white"] > 720 * 320 / 2
        picture(page, pictures, "session-report")


#: An image's own size, and how many of its pixels are of the colours it is drawn with.
_DRAWN = """
image => {
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const found = {width: canvas.width, height: canvas.height, red: 0, blue: 0, white: 0};
    for (let i = 0; i < pixels.length; i += 4) {
        const [r, g, b] = pixels.slice(i, i + 3);
        if (r > 180 && g < 100 && b < 100) found.red++;
        if (b > 150 && r < 100) found.blue++;
        if (r > 250 && g > 250 && b > 250) found.white++;
    }
    return found;
}
"""
