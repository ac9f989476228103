from datetime import datetime

import dagster as dg
import pytest

from resources.calendar import SEOUL
from resources.settings import SettingsError, market_settings
from resources.tables import Dataset
from stock_assets.definitions import build_defs


def schedule(name: str, **variables: str) -> dg.ScheduleDefinition:
    return definitions(variables).resolve_schedule_def(name)


def definitions(variables: dict[str, str]) -> dg.Definitions:
    return build_defs(settings=market_settings(variables))


def tick(name: str, at: str) -> dg.RunRequest | str:
    """What the schedule asks for at a time in Seoul: a run, or the reason for none."""
    moment = datetime.fromisoformat(at).replace(tzinfo=SEOUL)
    located = definitions({})
    evaluated = located.resolve_schedule_def(name).evaluate_tick(
        dg.build_schedule_context(
            scheduled_execution_time=moment, repository_def=located.get_repository_def()
        )
    )
    if evaluated.skip_message:
        return evaluated.skip_message
    (request,) = evaluated.run_requests
    return request


@pytest.mark.parametrize("dataset", Dataset)
def test_a_session_is_collected_once_it_is_final(dataset):
    flows = (Dataset.SUPPLY_DEMAND, Dataset.MARKET_FLOWS)
    at = "18:10" if dataset in flows else "16:10"
    request = tick(f"{dataset}_collection", f"2025-06-13 {at}")
    assert request.partition_key == "2025-06-13"
    again = tick(f"{dataset}_collection", "2025-06-13 19:10")
    assert again.run_key == request.run_key  # Dagster starts one run per key
    assert tick(f"{dataset}_collection", f"2025-06-16 {at}").run_key != request.run_key


def test_run_keys_of_datasets_differ():
    keys = {tick(f"{dataset}_collection", "2025-06-13 19:10").run_key for dataset in Dataset}
    assert len(keys) == len(Dataset)


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2025-10-06", "KRX is closed on 2025-10-06: Chuseok (Korean Thanksgiving Day)."),
        ("2026-06-03", "KRX is closed on 2026-06-03: local elections."),
        ("2025-06-14", "KRX is closed on 2025-06-14: Saturday."),
    ],
)
@pytest.mark.parametrize("name", ["daily_bars_collection", "minute_bars_intraday"])
def test_closed_days_are_skipped_with_their_reason(name, day, reason):
    assert tick(name, f"{day} 16:10") == reason


def test_a_late_close_is_left_to_the_second_tick():
    early = tick("daily_bars_collection", "2025-11-13 16:10")
    assert early == "2025-11-13 is not final yet; the next tick asks again."
    assert tick("daily_bars_collection", "2025-11-13 17:10").partition_key == "2025-11-13"


def test_ticks_are_in_seoul_at_the_time_configured_and_an_hour_later():
    found = schedule("supply_demand_collection", SUPPLY_DEMAND_COLLECTION_TIME="19:40")
    assert found.cron_schedule == ["40 19 * * *", "40 20 * * *"]
    assert found.execution_timezone == "Asia/Seoul"


@pytest.mark.parametrize(("source", "status"), [("simulated", "RUNNING"), ("files", "STOPPED")])
def test_only_the_simulated_market_is_collected_unasked(source, status):
    found = schedule("daily_bars_collection", MARKET_SOURCE=source)
    assert found.default_status.value == status
    intraday = schedule("minute_bars_intraday", MARKET_SOURCE=source)
    assert intraday.default_status.value == "STOPPED"


def test_minute_bars_so_far_are_loaded_during_the_session_only():
    assert tick("minute_bars_intraday", "2025-06-13 09:10").partition_key == "2025-06-13"
    first, second = (tick("minute_bars_intraday", f"2025-06-13 09:{m}").run_key for m in (10, 20))
    assert first != second
    closed = "KRX trades from 09:00 to 15:30 on 2025-06-13."
    assert tick("minute_bars_intraday", "2025-06-13 09:00") == closed
    assert tick("minute_bars_intraday", "2025-06-13 15:40") == closed


def test_collecting_before_the_data_is_final_is_refused():
    with pytest.raises(SettingsError, match="daily_bars would be collected at 15:40:00, before"):
        market_settings({"DAILY_BARS_COLLECTION_TIME": "15:40"})


def test_dagster_forgets_every_night():
    found = schedule("housekeeping", HOUSEKEEPING_TIME="04:15")
    assert found.cron_schedule == "15 4 * * *"
    assert found.execution_timezone == "Asia/Seoul"
    nights = ("2025-06-13", "2025-06-14")  # Friday, Saturday
    first, second = (tick("housekeeping", f"{night} 03:30").run_key for night in nights)
    assert first != second
