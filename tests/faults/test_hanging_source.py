"""Sources that never answer, in real runs in real processes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded.stack import Stack
from tests.project import finished, make_project, start_dg

# The source hangs on one of three sessions, in C code that goes on after any signal.
LOCATION = """
import ctypes

from resources.calendar import krx_calendar, seoul_now
from resources.sources.simulated.source import SimulatedSource
from stock_assets.definitions import build_defs


class Hanging(SimulatedSource):
    def daily_bars(self, session, symbols):
        while str(session) == "{session}":
            {library}(None).sleep(1000)
        return super().daily_bars(session, symbols)


defs = build_defs({{"market_source": Hanging(krx_calendar(), seoul_now, size=3)}})
"""


@pytest.fixture
def backfill(stack: Stack, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`dg launch` of the three sessions, until the process has ended."""

    def backfill(library: str, session: str) -> subprocess.CompletedProcess[str]:
        project = make_project(tmp_path, stack.environment | {"SOURCE_TIMEOUT": "2"})
        (project / "hanging.py").write_text(LOCATION.format(library=library, session=session))
        ours = (project / "pyproject.toml").read_text()
        assert '"stock_assets.definitions"' in ours
        (project / "pyproject.toml").unlink()
        (project / "pyproject.toml").write_text(
            ours.replace('"stock_assets.definitions"', '"hanging"')
        )
        sessions = ("--assets", "daily_bars", "--partition-range", "2025-01-02...2025-01-06")
        return finished(start_dg(project, "launch", *sessions, PYTHONPATH=str(project)))

    return backfill


def test_a_source_that_hangs_costs_its_session_and_no_other(backfill, query):
    result = backfill("ctypes.CDLL", "2025-01-03")
    assert result.returncode == 1
    error = "source simulated gave no daily_bars of 2025-01-03 within 2 s (SOURCE_TIMEOUT)"
    failure = f"1 of 3 sessions of daily_bars were not loaded:\n2025-01-03: {error}\n"
    assert failure in result.stdout + result.stderr
    assert query("SELECT session::text, outcome, error FROM ingest_ledger ORDER BY id") == [
        ("2025-01-02", "committed", None),
        ("2025-01-03", "failed", error),
        ("2025-01-06", "committed", None),
    ]
    assert query("SELECT date::text, count(*) FROM daily_bars GROUP BY 1 ORDER BY 1") == [
        ("2025-01-02", 3),
        ("2025-01-06", 3),
    ]


def test_one_that_lets_no_python_run_ends_with_the_process(backfill, query):
    """ctypes.PyDLL keeps the interpreter to itself: no thread of Python's can do anything.

    The session before may be under way then: it is whole, or it is not there.
    """
    result = backfill("ctypes.PyDLL", "2025-01-06")
    assert result.returncode == 1
    assert "Timeout (0:00:04)!" in result.stderr
    assert "hanging.py" in result.stderr
    committed = query("SELECT session::text, outcome, rows_loaded FROM ingest_ledger ORDER BY id")
    first, second = ("2025-01-02", "committed", 3), ("2025-01-03", "committed", 3)
    assert committed in ([first], [first, second])
    rows = query("SELECT date::text, count(*) FROM daily_bars GROUP BY 1 ORDER BY 1")
    assert rows == [(session, loaded) for session, _, loaded in committed]
