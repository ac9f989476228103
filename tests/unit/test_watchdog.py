"""What keeps the interpreter to itself ends with its process."""

import subprocess
import sys

import pytest

from embedded.paths import CHECKOUT

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


def test_it_lets_be_what_is_over():
    result = run("import time\nwith watchdog(0.1): pass\ntime.sleep(0.3)\nprint('alive')")
    assert result.stdout == "alive\n"
