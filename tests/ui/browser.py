"""A headless Chromium out of the tests' Debian root, never the host's, driven by Playwright."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from embedded import sandbox
from tests.integration.access import eventually

# fmt: off
COMMAND = [
    "/usr/lib/chromium/chromium-headless-shell",
    # bubblewrap is the sandbox, and has no place for one more.
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--font-render-hinting=none",
    "--no-first-run", "--disable-background-networking", "--no-proxy-server",
    "--user-data-dir=/data", "--remote-debugging-port=0",
]
# fmt: on

#: An error that Dagster shows in a corner for some seconds becomes an error in the console.
REPORT_ERROR_TOASTS = """
new MutationObserver(() => {
    for (const icon of document.querySelectorAll('[data-sonner-toast] [aria-label="error"]')) {
        const toast = icon.closest('[data-sonner-toast]');
        if (!toast.reported) {
            toast.reported = true;
            console.error('toast: ' + toast.innerText);
        }
    }
}).observe(document, {childList: true, subtree: true});
"""


@contextmanager
def running_browser(root: Path, profile: Path) -> Iterator[Browser]:
    """A browser of the tests' root, with its profile in an empty directory."""
    log, port_file = profile / "browser.log", profile / "DevToolsActivePort"
    with (
        log.open("w") as output,
        subprocess.Popen(
            sandbox.command(root, profile, COMMAND, user="nobody"),
            env={**sandbox.ENVIRONMENT, "PATH": sandbox.search_path()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):

        def listens() -> bool:
            assert process.poll() is None, f"the browser has ended: {log.read_text()}"
            return port_file.exists() and port_file.read_text().count("\n") == 1

        try:
            eventually(listens)
            port, path = port_file.read_text().splitlines()
            with sync_playwright() as playwright:
                # The socket itself: asking the port for its address would obey http_proxy.
                browser = playwright.chromium.connect_over_cdp(f"ws://127.0.0.1:{port}{path}")
                yield browser
                browser.close()
        finally:
            # bwrap takes the browser with it.
            process.kill()


@contextmanager
def visit(browser: Browser, address: str, pictures: Path, name: str) -> Iterator[Page]:
    """A page at the address, with nothing remembered from another one.

    Fails at the end if the browser's console or a notification told of an error. A test that
    fails leaves the picture `failed-{name}.png`.
    """
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(f"{message.text} ({message.location.get('url', '')})")

    context = browser.new_context(
        base_url=address,
        viewport={"width": 1280, "height": 920},
        locale="en-US",
        timezone_id="Asia/Seoul",
    )
    context.set_default_timeout(60_000)
    context.add_init_script(REPORT_ERROR_TOASTS)
    page = context.new_page()
    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto("/")
        yield page
        assert not errors, "\n".join(errors)
    except BaseException:
        page.screenshot(path=pictures / f"failed-{name}.png")
        raise
    finally:
        context.close()
