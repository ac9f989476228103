"""`make demo`: load some sessions of every asset through Dagster, and show them.

The simulated market's newest ones, or those that the mapping of the dumps names under `[demo]`.

What is committed already is left alone, so a second demo takes seconds and changes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from embedded.environment import ensure_environment
from embedded.errors import StackError
from embedded.paths import CHECKOUT, LOCAL
from resources.calendar import krx_calendar, seoul_now
from resources.connections import Databases
from resources.databases import ApplicationDatabase, DatabaseError, TimescaleDB
from resources.ledger import committed_sessions
from resources.settings import MarketSettings, SettingsError, market_settings
from resources.sources import SourceError
from resources.sources.mapping import load_mapping
from resources.standing import Standing, standing
from resources.tables import Dataset

SIMULATED_SESSIONS = 20

#: The first and the last one.
Sessions = tuple[date, date]


def main() -> int:
    """Load, print the table and the UI's address; the exit code says whether all went well."""
    try:
        environment = ensure_environment(CHECKOUT)
        settings = market_settings(environment)
        ranges = _ranges(settings)
        began = time.monotonic()
        loaded = _load(ranges, environment)
        seconds = time.monotonic() - began
        rows = {dataset: _committed(dataset, ranges[dataset], environment) for dataset in ranges}
    except (StackError, SettingsError, SourceError, DatabaseError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\n{'asset':<16} {'sessions':>8} {'rows':>9}")
    for dataset, sessions in rows.items():
        print(f"{dataset:<16} {len(sessions):>8} {sum(sessions.values()):>9,}")
    print(f"\nloaded and checked in {seconds:.0f} s" if loaded else "\nall of it was there")
    if settings.market_source == "simulated":
        print("\nEvery row is simulated; MARKET_SOURCE=files in .env loads real ones (README).")
    print(f"\nDagster UI: http://127.0.0.1:{environment['DAGSTER_UI_PORT']}")
    return 0


def _ranges(settings: MarketSettings) -> Mapping[Dataset, Sessions]:
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


def _newest_sessions(dataset: Dataset, settings: MarketSettings) -> Sessions:
    calendar, now = krx_calendar(), seoul_now()
    final = [
        session
        for session in calendar.sessions
        if standing(calendar, session, settings.final_time(dataset), now) is Standing.FINAL
    ]
    return final[-SIMULATED_SESSIONS], final[-1]


def _load(ranges: Mapping[Dataset, Sessions], environment: Mapping[str, str]) -> bool:
    """Load what is missing; whether anything was. Datasets that lack the same sessions share a
    run: starting one takes longer than most of them do."""
    launches: dict[Sessions, list[Dataset]] = {}
    for dataset, (first, last) in ranges.items():
        there = _committed(dataset, (first, last), environment)
        wanted = [day for day in krx_calendar().sessions if first <= day <= last]
        if missing := [day for day in wanted if day not in there]:
            launches.setdefault((missing[0], missing[-1]), []).append(dataset)
    for sessions, datasets in launches.items():
        print(f"loading {', '.join(datasets)} from {sessions[0]} to {sessions[1]}", flush=True)
        _launch(datasets, sessions, environment)
    return bool(launches)


def _committed(
    dataset: Dataset, sessions: Sessions, environment: Mapping[str, str]
) -> dict[date, int]:
    databases = Databases(
        TimescaleDB.from_environment(environment),
        ApplicationDatabase.from_environment(environment),
    )
    return committed_sessions(databases.of(dataset), dataset, *sessions)


def _launch(
    datasets: Sequence[Dataset], sessions: Sessions, environment: Mapping[str, str]
) -> None:
    """`dg launch`, its progress shown and all it says kept in the log."""
    names = ",".join(datasets)
    log = LOCAL / "log" / f"demo-{names.replace(',', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [str(Path(sys.executable).with_name("dg")), "launch", "--assets", names]
    command += ["--partition-range", f"{sessions[0]}...{sessions[1]}"]
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
        raise StackError(f"dg launch of {names} failed; its log {log} ends:\n{tail}")


if __name__ == "__main__":
    sys.exit(main())
