"""Comparing and looking for gaps as Dagster runs, and the commands that repair what is found."""

import re
import shlex

import dagster as dg
import pytest

from resources.aggregates import AGGREGATES
from resources.calendar import krx_calendar, seoul_now
from resources.gaps import due_sessions
from resources.settings import market_settings
from resources.sources.simulated.source import SimulatedSource
from resources.tables import Dataset
from stock_assets.definitions import build_defs
from stock_assets.gaps import GAPS
from tests.project import finished, make_project, start_dg

ALIKE = {
    f"{name}_{what}".upper(): "18:00"
    for name in Dataset
    for what in ("final_time", "collection_time")
}
"""All datasets are final at the same time."""
CANDLES = {aggregate.name for aggregate in AGGREGATES}


@pytest.fixture(scope="module")
def sessions() -> list[str]:
    """The newest three that are final."""
    settings = market_settings(ALIKE)
    final = due_sessions(Dataset.DAILY_BARS, settings, krx_calendar(), seoul_now())
    return [str(session) for session in final[-3:]]


@pytest.fixture
def variables(sessions) -> dict[str, str]:
    firsts = {f"{name}_FIRST_SESSION".upper(): sessions[0] for name in Dataset}
    return {**firsts, **ALIKE, "SIMULATED_SYMBOLS": "12"}


@pytest.fixture
def located(variables, timescaledb, maintainer, application_database) -> dg.Definitions:
    """The code location over 12 symbols of the simulated market and three sessions."""
    resources = {
        "market_source": SimulatedSource(krx_calendar(), seoul_now, size=12),
        "timescaledb": timescaledb,
        "timescaledb_maintainer": maintainer,
        "application_database": application_database,
    }
    return build_defs(resources, market_settings(variables))


@pytest.fixture
def run(located, instance):
    """Run what a command names, in this process."""

    def run(command: str) -> None:
        _, _, _, assets, which, days = shlex.split(command)
        first, _, last = days.partition("...")
        assert which == ("--partition-range" if last else "--partition")
        result = located.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in assets.split(",")],
            raise_on_error=False,
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            },
        )
        assert result.success, command

    return run


@pytest.fixture
def look(located, instance):
    """Materialise gaps; what its metadata say, and the commands in its table."""

    def look() -> tuple[dict, list[str]]:
        assert located.resolve_job_def("gaps_search").execute_in_process(instance=instance).success
        event = instance.get_latest_materialization_event(dg.AssetKey(GAPS))
        said = {name: value.value for name, value in event.asset_materialization.metadata.items()}
        (check,) = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(GAPS), "nothing_missing"), limit=1
        )
        evaluation = check.event.dagster_event.event_specific_data
        assert evaluation.passed == (said["total"] == 0)
        assert evaluation.severity is dg.AssetCheckSeverity.WARN
        return said, re.findall("`(dg launch [^`]*)`", said["gaps"])

    return look


@pytest.fixture
def compare(located, instance):
    """A tick of the sensor that compares, and the runs it asks for; how many there were."""

    def compare() -> int:
        names = ["timescaledb", "application_database"]
        with dg.build_sensor_context(
            instance=instance,
            definitions=located,
            resources={name: located.resources[name] for name in names},
        ) as context:
            ticked = located.resolve_sensor_def("reconciliation").evaluate_tick(context)
        for request in ticked.run_requests or []:
            job = located.resolve_job_def(request.job_name)
            assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
        return len(ticked.run_requests or [])

    return compare


def evaluations(instance, asset: str, check: str) -> dict[str, list[tuple[bool, int, str]]]:
    """By session, oldest first: whether it passed, how much was looked at, and what was said."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(asset), check), limit=100
    )
    found: dict[str, list[tuple[bool, int, str]]] = {}
    for record in reversed(records):
        one = record.event.dagster_event.event_specific_data
        # The range's own has no partition, and a run's plan is recorded as well.
        if isinstance(one, dg.AssetCheckEvaluation) and one.partition is not None:
            checked = one.metadata["checked"].value
            found.setdefault(one.partition, []).append((one.passed, checked, one.description))
    return found


def test_each_session_is_compared_once_its_other_side_is_there(run, compare, instance, sessions):
    first, second, _ = sessions
    run(f"dg launch --assets symbols --partition-range {first}...{second}")
    missing = (True, 0, "daily_bars of the session is not there")
    found = evaluations(instance, "symbols", "seen_in_bars")
    assert found == {first: [missing], second: [missing]}
    assert compare() == 0
    run(f"dg launch --assets daily_bars --partition {second}")
    assert compare() == 1
    found = evaluations(instance, "symbols", "seen_in_bars")
    assert found == {first: [missing], second: [missing, (True, 12, None)]}
    assert compare() == 0


def test_the_commands_repair_everything(look, run, compare, query, sessions):
    first, last = sessions[0], sessions[-1]
    said, commands = look()
    assert said["total"] == said["missing_session"] == 3 * len(Dataset)
    assert said["state"] == f"{3 * len(Dataset)} × missing session"
    assert sorted(commands) == sorted(
        f"dg launch --assets {dataset} --partition-range {first}...{last}" for dataset in Dataset
    )
    for command in commands:
        run(command)
    # Candles follow by themselves, where Dagster's daemon runs.
    said, (command,) = look()
    assert said["total"] == said["stale_candles"] == 3
    assert set(command.split()[3].split(",")) == CANDLES
    run(command)
    compare()
    said, commands = look()
    assert (said["total"], said["state"], commands) == (0, "nothing is missing or broken", [])

    query("DELETE FROM daily_bars WHERE date = %s AND symbol < '000020'", [sessions[1]])
    said, (command,) = look()
    assert said["lost_rows"] == said["total"] == 1
    assert command == f"dg launch --assets daily_bars --partition {sessions[1]}"
    run(command)
    compare()
    assert look()[0]["total"] == 0


def test_the_commands_are_ones_that_dg_takes(
    look, stack, variables, query, query_application, tmp_path
):
    """As typed in a shell: a range, and after it the one session that is lost again."""
    project = make_project(tmp_path, stack.environment | variables)
    _, commands = look()
    (command,) = [text for text in commands if " market_flows " in text]
    assert finished(start_dg(project, *shlex.split(command)[1:])).returncode == 0
    assert query("SELECT count(*), count(DISTINCT date) FROM market_flows") == [(6, 3)]
    query("DELETE FROM market_flows WHERE date = (SELECT max(date) FROM market_flows)")
    _, commands = look()
    (command,) = [text for text in commands if " market_flows " in text]
    assert " --partition 2" in command
    assert finished(start_dg(project, *shlex.split(command)[1:])).returncode == 0
    assert query("SELECT count(*) FROM market_flows") == [(6,)]
    assert finished(start_dg(project, "launch", "--assets", GAPS)).returncode == 0
