"""Checks in real Dagster runs: by default with a load, alone, over ranges, and healed."""

import dagster as dg
import pytest

from resources.checks.rules import RULES
from resources.tables import Dataset
from tests.pipeline.market import Market

FIRST, SECOND, THIRD = "2025-01-02", "2025-01-03", "2025-01-06"


@pytest.fixture
def evaluations(instance):
    """Evaluations of a check, oldest first, as (partition, passed)."""

    def evaluations(asset: str, rule: str) -> list[tuple[str | None, bool]]:
        history = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(asset), rule), limit=100
        )
        return [
            (
                one.event.dagster_event.event_specific_data.partition,
                one.event.dagster_event.event_specific_data.passed,
            )
            for one in reversed(history)
            if one.event and one.event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]

    return evaluations


def test_a_range_leaves_one_evaluation_of_every_rule_per_session(launch, evaluations, query):
    result = launch(Market(), "daily_bars", FIRST, THIRD)
    assert result.success
    for rule in RULES[Dataset.DAILY_BARS]:
        assert evaluations("daily_bars", rule.name) == [
            (day, True) for day in (FIRST, SECOND, THIRD)
        ]
    assert query("SELECT count(*), count(DISTINCT session) FROM check_results") == [(33, 3)]


def test_checks_run_alone(launch, evaluations, definitions, instance):
    launch(Market(), "daily_bars", FIRST, THIRD)
    job = definitions(Market()).resolve_job_def("daily_bars_check")
    result = job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={
            "dagster/asset_partition_range_start": FIRST,
            "dagster/asset_partition_range_end": SECOND,
        },
    )
    assert result.success
    assert len(evaluations("daily_bars", "vwap")) == 5
