"""`make demo`: load some sessions of every asset through Dagster, and show them.

The simulated market's newest ones, or those that the mapping of the dumps names under `[demo]`.

What is committed already is left alone, so a second demo takes seconds and changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from embedded.environment import ensure_environment
from embedded.errors import StackError
from embedded.paths import CHECKOUT, LOCAL
from resources.calendar import krx_calendar, seoul_now
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.ledger import committed_sessions
from resources.settings import MarketSettings, SettingsError, market_settings
from resources.sources import SourceError
from resources.sources.mapping import load_mapping
from resources.standing import Standing, standing
from resources.tables import TABLES, Dataset

SIMULATED_SESSIONS = 20


@dataclass(frozen=True)
class Line:
    """One line of the table: `seconds` is None where everything was there already."""

    dataset: Dataset
    sessions: int
    rows: int
    seconds: float | None


def main() -> int:
    """Load, print the table and the UI's address; the exit code says whether all went well."""
    try:
        environment = ensure_environment(CHECKOUT)
        settings = market_settings(environment)
        lines = [
            _load(dataset, first, last, environment)
            for dataset, (first, last) in _ranges(settings).items()
        ]
    except (StackError, SettingsError, SourceError, DatabaseError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\n{'asset':<15} {'sessions':>8} {'rows':>9} {'seconds':>8}")
    for line in lines:
        seconds = "there" if line.seconds is None else f"{line.seconds:.1f}"
        print(f"{line.dataset:<15} {line.sessions:>8} {line.rows:>9,} {seconds:>8}")
    if settings.market_source == "simulated":
        print("\nEvery row is simulated; MARKET_SOURCE=files in .env loads real ones (README).")
    print(f"\nDagster UI: http://127.0.0.1:{environment['DAGSTER_UI_PORT']}")
    return 0


def _ranges(settings: MarketSettings) -> Mapping[Dataset, tuple[date, date]]:
    """First and last session to load of each dataset."""
    if settings.market_source == "simulated":
        return {dataset: _newest_sessions(dataset, settings) for dataset in Dataset}
    if not settings.market_data_dir.is_dir():
        raise StackError(
            f"there is no {settings.market_data_dir}: set MARKET_DATA_DIR in .env to the folder "
            f"with the dumps that {settings.market_data_mapping} describes"
        )
    ranges = load_mapping(settings.market_data_mapping).demo.ranges
    for dataset, (first, _) in ranges.items():
        if first < settings.first_session(dataset, seoul_now().date()):
            variable = f"{dataset}_first_session".upper()
            raise StackError(
                f"{dataset} of {first} has no partition: set {variable}={first} in .env"
            )
    return ranges


def _newest_sessions(dataset: Dataset, settings: MarketSettings) -> tuple[date, date]:
    calendar, now = krx_calendar(), seoul_now()
    final = [
        session
        for session in calendar.sessions
        if standing(calendar, session, settings.final_time(dataset), now) is Standing.FINAL
    ]
    return final[-SIMULATED_SESSIONS], final[-1]


def _load(dataset: Dataset, first: date, last: date, environment: Mapping[str, str]) -> Line:
    at_application = TABLES[dataset].database == "application_database"
    kind = ApplicationDatabase if at_application else TimescaleDB
    database = kind.from_environment(environment)
    wanted = [day for day in krx_calendar().sessions if first <= day <= last]
    there = committed_sessions(database, dataset, first, last)
    missing = [day for day in wanted if day not in there]
    if not missing:
        return Line(dataset, len(there), sum(there.values()), None)
    print(f"loading {dataset} from {missing[0]} to {missing[-1]}", flush=True)
    began = time.monotonic()
    _launch(dataset, missing[0], missing[-1], environment)
    there = committed_sessions(database, dataset, first, last)
    return Line(dataset, len(there), sum(there.values()), time.monotonic() - began)


def _launch(dataset: Dataset, first: date, last: date, environment: Mapping[str, str]) -> None:
    """`dg launch`, its progress shown and all it says kept in the log."""
    log = LOCAL / "log" / f"demo-{dataset}.log"
    command = [str(Path(sys.executable).with_name("dg")), "launch", "--assets", dataset.value]
    command += ["--partition-range", f"{first}...{last}"]
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for text in process.stdout or ():
            kept.write(text)
            if " sessions, " in text:
                print(f"  {text.rstrip().rpartition(' - ')[2]}", flush=True)
    if process.returncode:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:])
        raise StackError(f"dg launch of {dataset} failed; its log {log} ends:\n{tail}")


if __name__ == "__main__":
    sys.exit(main())
