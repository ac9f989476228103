"""The job `requeue`, from its run config to Dagster's record and what follows a load."""

import dagster as dg
import pytest

from resources.tables import Dataset
from tests.changed_rules import change_rules
from tests.pipeline.market import Market

FIRST, SECOND, THIRD = "2025-01-02", "2025-01-03", "2025-01-06"


class Negative(Market):
    """One of three bars has a negative volume; on the third session all of them have."""

    def _some(self, frame, session):
        rows = slice(None) if str(session) == THIRD else slice(0, 0)
        frame.loc[rows, "volume"] = -100
        return frame

    def daily_bars(self, session, symbols):
        return self._some(super().daily_bars(session, symbols), session)

    def minute_bars(self, session, symbols):
        return self._some(super().minute_bars(session, symbols), session)


@pytest.fixture
def requeue(definitions, instance):
    def requeue(**config: object) -> tuple[dg.ExecuteInProcessResult, dict[str, object]]:
        result = (
            definitions(Market())
            .resolve_job_def("requeue")
            .execute_in_process(
                instance=instance,
                run_config={"ops": {"refused_rows": {"config": config}}},
                raise_on_error=False,
            )
        )
        metadata = {}
        for event in result.all_node_events:
            if event.is_successful_output:
                metadata = event.step_output_data.metadata
            elif event.is_step_failure and event.step_failure_data.user_failure_data:
                metadata = event.step_failure_data.user_failure_data.metadata
        return result, {name: value.value for name, value in metadata.items()}

    return requeue


@pytest.fixture
def allow(monkeypatch):
    def allow(dataset: Dataset) -> None:
        change_rules(monkeypatch, dataset, "volume", checks=[])

    return allow


def sessions(metadata: dict[str, object]) -> list[tuple[object, ...]]:
    table = metadata["sessions"]
    names = [column.name for column in table.schema.columns]
    return [tuple(record.data[name] for name in names) for record in table.records]


def test_rows_of_a_range_of_sessions_move_and_are_recorded(
    launch, requeue, allow, recorded, query, instance, application_database
):
    launch(Negative(), "daily_bars", FIRST, THIRD)
    result, said = requeue(dataset="daily_bars")
    assert result.success
    refused = "of an attempt that loaded nothing, so its other rows are missing too; load the "
    refused += f"session: dg launch --assets daily_bars --partition {THIRD} (3)"
    assert sessions(said) == [
        (FIRST, 0, 1, "volume is negative (1)"),
        (SECOND, 0, 1, "volume is negative (1)"),
        (THIRD, 0, 3, refused),
    ]
    allow(Dataset.DAILY_BARS)
    result, said = requeue(dataset="daily_bars", dry_run=True)
    assert (said["rows_loaded"], said["rows_that_stay"]) == (2, 3)
    assert query("SELECT count(*) FROM daily_bars") == [(4,)]
    result, said = requeue(dataset="daily_bars")
    assert result.success
    assert sessions(said) == [(FIRST, 1, 0, ""), (SECOND, 1, 0, ""), (THIRD, 0, 3, refused)]
    assert query("SELECT count(*) FROM daily_bars") == [(6,)]
    # The session's record has all of its rows, and names the commit, as the healing wants it.
    assert recorded("daily_bars") == [(FIRST, 2), (SECOND, 2), (FIRST, 3), (SECOND, 3)]
    (event,) = instance.fetch_materializations(dg.AssetKey("daily_bars"), limit=1).records
    metadata = event.asset_materialization.metadata
    assert (metadata["rows_requeued"].value, metadata["rows_quarantined"].value) == (1, 0)
    newest = "SELECT max(id)::text FROM ingest_ledger WHERE session = '2025-01-03'"
    assert query(newest) == [(event.asset_materialization.tags["dagster/data_version"],)]
    # What the checks found before is of another load.
    assert query(
        "SELECT count(*) FROM check_results JOIN loaded_sessions USING (asset, session, ledger_id)"
    ) == [(0,)]


def test_candles_follow(launch, requeue, allow, query, maintainer):
    from resources.aggregates import AGGREGATES
    from resources.refresh import stale_sessions

    names = ",".join(aggregate.name for aggregate in AGGREGATES)
    launch(Negative(), f"minute_bars,{names}", FIRST)
    query("UPDATE check_results SET passed = true")
    launch(Negative(), names, FIRST)
    assert stale_sessions(maintainer) == []
    allow(Dataset.MINUTE_BARS)
    requeue(dataset="minute_bars", sessions=[FIRST])
    assert [str(one.session) for one in stale_sessions(maintainer)] == [FIRST]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"dataset": "bars"}, "dataset must be one of symbols, daily_bars"),
        ({"dataset": "daily_bars", "sessions": ["2025-1-2"]}, "a session is a date such as"),
        ({"dataset": "daily_bars", "reason": "("}, "reason is no regular expression"),
    ],
)
def test_wrong_config_is_named(requeue, config, says):
    result, _ = requeue(**config)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert says in str(failure.step_failure_data.error)


def test_one_session_that_fails_does_not_stop_the_others(launch, requeue, allow, recorded, query):
    launch(Negative(), "daily_bars", FIRST, SECOND)
    allow(Dataset.DAILY_BARS)
    query(
        "ALTER TABLE daily_bars ADD CONSTRAINT broken CHECK (volume > 0 OR date <> '2025-01-02') "
        "NOT VALID"
    )
    try:
        result, said = requeue(dataset="daily_bars")
    finally:
        query("ALTER TABLE daily_bars DROP CONSTRAINT broken")
    assert not result.success
    assert sessions(said) == [(SECOND, 1, 0, "")]
    assert query("SELECT session::text FROM quarantine") == [(FIRST,)]


def test_refused_rows_are_counted_by_reason_in_the_record_of_a_load_and_of_a_refusal(
    launch, instance
):
    result = launch(Negative(), "daily_bars", FIRST, THIRD)
    key = dg.AssetKey("daily_bars")
    (event,) = instance.fetch_materializations(key, limit=1).records
    metadata = event.asset_materialization.metadata
    assert metadata["refused: volume is negative"].value == 1
    (row,) = metadata["refused_by_reason"].records
    assert row.data == {"reason": "volume is negative", "rows": 1}
    (told,) = instance.fetch_observations(key, limit=9).records
    assert told.partition_key == THIRD
    assert told.asset_observation.metadata["refused: volume is negative"].value == 3
    assert "3 of 3 rows were refused" in told.asset_observation.description
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    (row,) = failure.step_failure_data.user_failure_data.metadata["refused"].records
    assert row.data == {"session": THIRD, "reason": "volume is negative", "rows": 3}
