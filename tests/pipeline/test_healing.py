"""Dagster's record and the ledger differ, and the sensor heals it."""

from datetime import date, datetime

import dagster as dg
import pytest

from resources.calendar import SEOUL
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.tables import DAILY_BARS
from tests.pipeline.market import Market

KEY = dg.AssetKey("daily_bars")
NOTHING = "Every commit has its record, and every record its commit."


@pytest.fixture
def commit(timescaledb):
    """Load a session without a word to Dagster, as a worker does that dies after its commit."""

    def commit(session: str, run_id: str = "a run that nobody knows") -> None:
        attempt = Attempt(
            table=DAILY_BARS,
            session=date.fromisoformat(session),
            symbols=None,
            run_id=run_id,
            source="market",
            simulated=False,
            provisional=False,
            started_at=datetime.now(SEOUL),
        )
        ingest(Market(), timescaledb, attempt, source_timeout=10, now=datetime.now(SEOUL))

    return commit


def test_a_commit_without_a_record_is_recorded(commit, heal, instance, recorded):
    commit("2025-01-02")
    commit("2025-01-03")
    message, requests = heal()
    assert message == "recorded daily_bars of 2025-01-02 to 2025-01-03"
    assert requests == []
    assert recorded("daily_bars") == [("2025-01-02", 3), ("2025-01-03", 3)]
    (event, _) = instance.fetch_materializations(KEY, limit=2).records
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert len(metadata.pop("checksum")) == 16
    assert metadata == {
        "dagster/partition_row_count": 3,
        "rows_replaced": 0,
        "rows_quarantined": 0,
        "source": "market",
        "simulated": False,
        "provisional": False,
        "committed_by": "a run that nobody knows",
    }
    assert heal() == (NOTHING, [])


def test_what_a_run_recorded_needs_no_healing(launch, heal, recorded):
    launch(Market(), "symbols,daily_bars,minute_bars", "2025-01-02", "2025-01-06")
    assert heal() == (NOTHING, [])
    assert len(recorded("daily_bars")) == 3


def test_a_newer_commit_than_the_recorded_one_is_recorded(launch, commit, heal, recorded):
    launch(Market(), "daily_bars", "2025-01-02")
    commit("2025-01-02")
    assert heal()[0] == "recorded daily_bars of 2025-01-02"
    assert len(recorded("daily_bars")) == 2


def test_a_database_restored_to_an_earlier_commit_is_recorded(launch, heal, query, instance):
    launch(Market(), "daily_bars", "2025-01-02")
    launch(Market(), "daily_bars", "2025-01-02", symbols=["005930"])
    query("DELETE FROM ingest_ledger WHERE symbols IS NOT NULL")
    assert heal()[0] == "recorded daily_bars of 2025-01-02"
    (event,) = instance.fetch_materializations(KEY, limit=1).records
    assert event.asset_materialization.metadata["dagster/partition_row_count"].value == 3
    assert heal() == (NOTHING, [])


def test_a_run_under_way_records_its_commits_itself(commit, heal, instance, recorded):
    run = dg.DagsterRun(job_name="daily_bars_collection", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    commit("2025-01-02", run.run_id)
    assert heal() == (NOTHING, [])
    instance.report_run_failed(run)
    assert heal()[0] == "recorded daily_bars of 2025-01-02"


def test_records_without_a_commit_are_shown_as_failed(launch, heal, definitions, instance, query):
    launch(Market(), "daily_bars", "2025-01-02", "2025-01-08")
    query("DELETE FROM ingest_ledger WHERE session IN ('2025-01-03', '2025-01-06', '2025-01-08')")
    _, requests = heal()
    assert [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
        )
        for request in requests
    ] == [("2025-01-03", "2025-01-06"), ("2025-01-08", "2025-01-08")]
    # The next tick asks for the same runs, which the sensor's run keys make the same.
    assert [request.run_key for request in heal()[1]] == [request.run_key for request in requests]
    asked = []
    job = definitions(Market(on_ask=asked.append)).resolve_job_def(requests[0].job_name)
    result = job.execute_in_process(
        instance=instance,
        run_config=requests[0].run_config,
        tags=requests[0].tags,
        raise_on_error=False,
    )
    assert not result.success
    assert asked == []
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    message = failure.step_failure_data.user_failure_data.description
    assert message.startswith(
        "2025-01-03, 2025-01-06 of daily_bars are recorded as loaded, but the ledger in TimescaleDB"
    )
    status = instance.get_status_by_partition(
        KEY,
        ["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"],
        definitions(Market()).get_assets_def("daily_bars").partitions_def,
    )
    assert {day: str(state.value) for day, state in status.items()} == {
        "2025-01-02": "MATERIALIZED",
        "2025-01-03": "FAILED",
        "2025-01-06": "FAILED",
        "2025-01-07": "MATERIALIZED",
    }
    # What is shown is not asked for again, though Dagster may have forgotten the run that showed it
    # first.
    launch(Market(["2025-01-03", "2025-01-06"]), "daily_bars", "2025-01-03", "2025-01-06")
    instance.delete_run(result.run_id)
    assert [request.run_key for request in heal()[1]] == [requests[1].run_key]


def test_a_confirmation_loads_nothing_where_the_ledger_has_all(launch, recorded):
    launch(Market(), "daily_bars", "2025-01-02")
    asked = []
    market = Market(on_ask=asked.append)
    assert launch(market, "daily_bars", "2025-01-02", confirm_only=True).success
    assert asked == []
    assert len(recorded("daily_bars")) == 1
