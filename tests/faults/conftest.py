from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from adbc_driver_postgresql import dbapi

from embedded.stack import Stack
from resources.calendar import krx_calendar, seoul_now
from resources.databases import ApplicationDatabase, Database, TimescaleDB
from resources.sources.simulated.source import SimulatedSource
from stock_assets.definitions import build_defs
from tests.databases import Query
from tests.faults.connecting import SESSION, SETTINGS, Run
from tests.faults.market import MAPPING, Market


@pytest.fixture
def market(tmp_path: Path, timescaledb: TimescaleDB) -> Market:
    """Dumps to be written, on the way into empty tables."""
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return Market(tmp_path, timescaledb)


@pytest.fixture
def loaded(query: Query) -> Callable[[], list[int]]:
    """The volumes in daily_bars."""
    return lambda: [row[0] for row in query("SELECT volume FROM daily_bars ORDER BY volume")]


@pytest.fixture
def refused(query: Query) -> Callable[[], list[tuple[str, str]]]:
    """Volume and reason of every row in the quarantine."""
    return lambda: query("SELECT row ->> 'volume', reason FROM quarantine ORDER BY id")


@pytest.fixture
def run(
    stack: Stack,
    instance: dg.DagsterInstance,
    clean: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Run]:
    """Load a session of an asset with some variables changed; nothing waits between tries."""
    monkeypatch.setattr("tenacity.wait_exponential_jitter.__call__", lambda *_: 0)
    tried: list[object] = []
    really_open = Database.open

    def count_and_open(database: Database) -> dbapi.Connection:
        tried.append(1)
        return really_open(database)

    monkeypatch.setattr(Database, "open", count_and_open)

    def run(asset: str = "daily_bars", **variables: str) -> Run:
        tried.clear()
        environment = {**stack.environment, **variables}
        definitions = build_defs(
            {
                "market_source": SimulatedSource(krx_calendar(), seoul_now, size=3),
                "timescaledb": TimescaleDB.from_environment(environment),
                "application_database": ApplicationDatabase.from_environment(environment),
            },
            SETTINGS,
        )
        job = definitions.resolve_implicit_global_asset_job_def()
        logs = Path(stack.environment["DAGSTER_STORAGE_DIR"])
        before = set(logs.rglob("*"))
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset)],
            partition_key=SESSION,
            raise_on_error=False,
        )
        written = "".join(
            [
                *capfd.readouterr(),
                *(dg.serialize_value(event) for event in instance.all_logs(result.run_id)),
                *(file.read_text() for file in set(logs.rglob("*")) - before if file.is_file()),
            ]
        )
        passwords = {name for name in environment if name.endswith("_PASSWORD")}
        assert not [name for name in passwords if environment[name] in written]
        if result.success:
            return Run(None, written, len(tried), environment)
        (failure,) = (event for event in result.all_events if event.is_step_failure)
        heading, line = failure.step_failure_data.user_failure_data.description.split("\n")
        assert heading == f"1 of 1 sessions of {asset} were not loaded:"
        return Run(line.removeprefix(f"{SESSION}: "), written, len(tried), environment)

    return run
