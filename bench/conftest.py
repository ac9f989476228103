"""Benchmarks: each measures its peer in the same run, so that what counts is a ratio. They use the
tests' servers (``--timescale-dsn`` names another TimescaleDB); a table of all is printed at the end
and kept in ``bench/results``."""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

_RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """One line of the table; ``goal`` is a bound on the ratio, such as "≤ 1.2"."""

    work: str
    ours: str
    peer: str
    ratio: float
    goal: str

    @property
    def met(self) -> bool:
        sign, bound = self.goal.split()
        return self.ratio <= float(bound) if sign == "≤" else self.ratio >= float(bound)


_results: list[Result] = []


@pytest.fixture
def report() -> Callable[..., None]:
    """Add a line to the table."""
    return lambda *line: _results.append(Result(*line))


@pytest.fixture
def median_seconds() -> Callable[..., float]:
    """Median of some runs, after one that warms up."""

    def median_seconds(work: Callable[[], object], runs: int = 7) -> float:
        work()
        seconds = []
        for _ in range(runs):
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)

    return median_seconds


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _results:
        return
    terminalreporter.section("benchmarks")
    for result in _results:
        verdict = "met" if result.met else "NOT MET"
        terminalreporter.line(
            f"{result.work}: {result.ours}, {result.peer}: ratio {result.ratio:.2f} "
            f"(goal {result.goal}: {verdict})"
        )
    _RESULTS.mkdir(exist_ok=True)
    file = _RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    lines = [{**asdict(result), "met": result.met} for result in _results]
    file.write_text(json.dumps(lines, ensure_ascii=False, indent=1) + "\n")
