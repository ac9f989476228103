"""`make demo`: load the sessions the mapping's `[demo]` names through Dagster, and show them.

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
from resources.calendar import krx_calendar
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.ledger import committed_sessions
from resources.settings import SettingsError, market_settings
from resources.sources import SourceError
from resources.sources.mapping import load_mapping
from resources.tables import Dataset


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
        ranges = load_mapping(settings.market_data_mapping).demo.ranges
        if not settings.market_data_dir.is_dir():
            raise StackError(
                f"there is no {settings.market_data_dir}: set MARKET_DATA_DIR in .env to the "
                f"folder with the dumps that {settings.market_data_mapping} describes"
            )
        lines = [
            _load(dataset, first, last, environment) for dataset, (first, last) in ranges.items()
        ]
    except (StackError, SettingsError, SourceError, DatabaseError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\n{'asset':<15} {'sessions':>8} {'rows':>9} {'seconds':>8}")
    for line in lines:
        seconds = "there" if line.seconds is None else f"{line.seconds:.1f}"
        print(f"{line.dataset:<15} {line.sessions:>8} {line.rows:>9,} {seconds:>8}")
    print(f"\nDagster UI: http://127.0.0.1:{environment['DAGSTER_UI_PORT']}")
    return 0


def _load(dataset: Dataset, first: date, last: date, environment: Mapping[str, str]) -> Line:
    kind = ApplicationDatabase if dataset is Dataset.SYMBOLS else TimescaleDB
    database = kind.from_environment(environment)
    wanted = [day for day in krx_calendar().sessions if first <= day <= last]
    there = committed_sessions(database, dataset, first, last)
    if set(wanted) <= set(there):
        return Line(dataset, len(there), sum(there.values()), None)
    print(f"loading {dataset}, {len(wanted)} sessions from {first} to {last}", flush=True)
    began = time.monotonic()
    _launch(dataset, first, last, environment)
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
