"""Benchmarks: each measures its peer in the same run, so that what counts is a ratio. They use the
tests' servers (``--timescale-dsn`` names another TimescaleDB); a table of all is printed at the end
and kept in ``bench/results``."""

import json
import statistics
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.market import SYMBOLS

_RESULTS = Path(__file__).parent / "results"
_BOUNDS = Path(__file__).parent / "bounds.toml"

Work = Callable[[], object]


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
        return self.within(float(bound)) if sign == "≤" else self.ratio >= float(bound)

    def within(self, bound: float, margin: float = 0) -> bool:
        """Whether the ratio is at most a share of ``margin`` worse than ``bound``."""
        if self.goal.startswith("≤"):
            return self.ratio <= bound * (1 + margin)
        return self.ratio >= bound / (1 + margin)


_results: list[Result] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="two minutes: a small market, some benchmarks"
    )
    parser.addoption("--symbols", type=int, help="size of the market, default 2,700, quick 400")
    parser.addoption("--check", action="store_true", help="fail beyond bench/bounds.toml")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: also measured, with fewer rows, by --quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        left = [item for item in items if not item.get_closest_marker("quick")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item.get_closest_marker("quick")]


@pytest.fixture(scope="session")
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--quick"))


@pytest.fixture(scope="session")
def symbols(request: pytest.FixtureRequest, quick: bool) -> int:
    """How many symbols the market has."""
    given: int | None = request.config.getoption("--symbols")
    return given or (400 if quick else SYMBOLS)


@pytest.fixture
def report() -> Callable[..., None]:
    """Add a line to the table."""
    return lambda *line: _results.append(Result(*line))


@pytest.fixture
def median_seconds() -> Callable[..., float]:
    """Median of some runs, after one that warms up."""

    def median_seconds(work: Work, runs: int = 7) -> float:
        work()
        return statistics.median(_seconds(work) for _ in range(runs))

    return median_seconds


@pytest.fixture
def side_by_side() -> Callable[..., dict[str, float]]:
    """Seconds of several works, each the least of its runs. They take turns, so that what else
    the machine does meets them all; a work's preparation is not measured."""

    def side_by_side(works: Mapping[str, tuple[Work, Work]], runs: int = 5) -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(runs):
            for name, (prepare, work) in works.items():
                prepare()
                seconds[name].append(_seconds(work))
        return {name: min(taken) for name, taken in seconds.items()}

    return side_by_side


def _seconds(work: Work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _beyond_bounds(quick: bool) -> list[str]:
    """What is worse than the bounds allow, or has none."""
    bounds = tomllib.loads(_BOUNDS.read_text())["quick" if quick else "full"]
    found = []
    for result in _results:
        if result.work not in bounds["ratios"]:
            found.append(f"{result.work}: bench/bounds.toml has no bound")
        elif not result.within(bound := bounds["ratios"][result.work], bounds["margin"]):
            found.append(
                f"{result.work}: ratio {result.ratio:.2f}, more than {bounds['margin']:.0%} worse "
                f"than {bound}"
            )
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    check = session.config.getoption("--check")
    if check and _beyond_bounds(session.config.getoption("--quick")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
    config = terminalreporter.config
    if config.getoption("--check"):
        beyond = _beyond_bounds(config.getoption("--quick"))
        for line in beyond or ["every ratio is within its bound"]:
            terminalreporter.line(f"bench-check: {line}")
    _RESULTS.mkdir(exist_ok=True)
    file = _RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    lines = [{**asdict(result), "met": result.met} for result in _results]
    file.write_text(json.dumps(lines, ensure_ascii=False, indent=1) + "\n")
