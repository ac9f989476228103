"""What keeps the interpreter to itself ends with its process."""

import faulthandler
import subprocess
import sys

import pytest

from embedded.paths import CHECKOUT
from resources.watchdog import watchdog

# ctypes.PyDLL lets no other thread of Python's run.
HANG = "ctypes.PyDLL(None).sleep(1000)"
SCRIPTS = {
    "inside": f"with watchdog(0.3):\n    {HANG}",
    "after a shorter one inside": f"with watchdog(0.6):\n    with watchdog(0.3): pass\n    {HANG}",
    "in a longer one inside": f"with watchdog(0.3):\n    with watchdog(1000): {HANG}",
}


def run(script: str) -> subprocess.CompletedProcess[str]:
    text = f"import ctypes\nfrom resources.watchdog import watchdog\n{script}\n"
    return subprocess.run(
        [sys.executable, "-c", text], cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("script", list(SCRIPTS))
def test_it_ends_the_process_and_says_where_it_was(script):
    result = run(SCRIPTS[script])
    assert result.returncode == 1
    assert "Timeout (" in result.stderr
    assert 'File "<string>"' in result.stderr


def test_it_lets_be_what_is_over(monkeypatch):
    """The timer is set for the nearest end, and stopped after the last one."""
    said: list[float | None] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda when, **_: said.append(when))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: said.append(None))
    with watchdog(5_000):
        with watchdog(9_000), watchdog(1_000):
            assert said == [5_000, 1_000]
        assert all(4_000 < when <= 5_000 for when in said[2:])
        assert len(said) == 4
    assert said[4:] == [None]
