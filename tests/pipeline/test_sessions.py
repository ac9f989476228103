"""Real Dagster runs over sessions: what is loaded, what is recorded, what a failure leaves."""

from datetime import date, datetime

import dagster as dg
import pytest

from resources.calendar import SEOUL
from stock_assets import backfill
from tests.pipeline.market import Market


def test_a_range_is_one_run_and_each_session_is_recorded_once(launch, recorded, query, instance):
    result = launch(Market(), "daily_bars", "2025-01-24", "2025-02-03")
    assert result.success
    # Not the holidays from the 27th to the 30th, and each session exactly once: Dagster's own
    # record at the end of the step would come on top, without the counts.
    assert recorded("daily_bars") == [("2025-01-24", 3), ("2025-01-31", 3), ("2025-02-03", 3)]
    assert query("SELECT DISTINCT run_id, session::text FROM ingest_ledger ORDER BY 2") == [
        (result.run_id, session) for session, _ in recorded("daily_bars")
    ]
    (event,) = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("daily_bars"), asset_partitions=["2025-01-31"]), limit=9
    ).records
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert metadata.pop("seconds") >= 0
    assert len(metadata.pop("checksum")) == 16
    assert metadata == {
        "dagster/partition_row_count": 3,
        "rows_replaced": 0,
        "rows_quarantined": 0,
        "source": "market",
        "simulated": False,
        "provisional": False,
    }


def test_while_a_session_is_written_the_next_one_is_fetched(launch, recorded, query, connect_as):
    """Writing the first waits for somebody who writes one of its rows, and takes it back when the
    second session is asked for."""
    seen = []
    with connect_as("collector_user") as other:
        other.autocommit = False
        other.execute(
            "INSERT INTO daily_bars VALUES ('2025-01-02', '005930', 1, 1, 1, 1, 1, 1, 1, 1)"
        )

        def ask(day: date) -> None:
            seen.append((str(day), len(recorded("daily_bars"))))
            if str(day) == "2025-01-03":
                other.rollback()

        market = Market(failing=["2025-01-06"], on_ask=ask)
        assert not launch(market, "daily_bars", "2025-01-02", "2025-01-08").success
    assert [day for day, _ in recorded("daily_bars")] == ["2025-01-02", "2025-01-03", "2025-01-07",
                                                          "2025-01-08"]  # fmt: skip
    assert query("SELECT session::text, outcome FROM ingest_ledger ORDER BY id") == [
        ("2025-01-02", "committed"),
        ("2025-01-03", "committed"),
        ("2025-01-06", "failed"),
        ("2025-01-07", "committed"),
        ("2025-01-08", "committed"),
    ]
    # Never two ahead: whoever is asked for, all but the session before it are recorded.
    assert [day for day, _ in seen] == [f"2025-01-0{day}" for day in (2, 3, 6, 7, 8)]
    assert [rows for _, rows in seen][:2] == [0, 0]
    assert all(rows >= least for (_, rows), least in zip(seen, (0, 0, 1, 2, 2), strict=True))


def test_after_a_workers_death_sessions_go_one_at_a_time(launch, recorded, monkeypatch):
    monkeypatch.setattr(backfill, "RETRY_NUMBER_TAG", "dagster/asset_partition_range_start")
    seen = []
    market = Market(on_ask=lambda day: seen.append(len(recorded("daily_bars"))))
    assert launch(market, "daily_bars", "2025-01-02", "2025-01-06").success
    assert seen == [0, 1, 2]


def test_one_session_that_fails_does_not_stop_the_others(launch, recorded, query):
    result = launch(Market(failing=["2025-01-03"]), "daily_bars", "2025-01-02", "2025-01-07")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    message = failure.step_failure_data.user_failure_data.description
    assert message == (
        "1 of 4 sessions of daily_bars were not loaded:\n2025-01-03: no dump of 2025-01-03"
    )
    assert [day for day, _ in recorded("daily_bars")] == ["2025-01-02", "2025-01-06", "2025-01-07"]
    assert query("SELECT DISTINCT date::text FROM daily_bars ORDER BY 1") == [
        ("2025-01-02",),
        ("2025-01-06",),
        ("2025-01-07",),
    ]


@pytest.fixture
def at(monkeypatch):
    def at(moment: str) -> None:
        now = datetime.fromisoformat(moment).replace(tzinfo=SEOUL)
        monkeypatch.setattr(backfill, "seoul_now", lambda: now)

    return at


def test_a_session_that_has_not_begun_is_left_out_and_the_rest_goes_on(
    launch, recorded, query, at, instance
):
    at("2025-01-06 08:59")
    asked = []
    market = Market(on_ask=asked.append)
    result = launch(market, "symbols,daily_bars", "2025-01-03", "2025-01-06")
    assert result.success
    assert set(asked) == {date(2025, 1, 3)}
    assert [day for day, _ in recorded("symbols")] == ["2025-01-03"]
    assert [day for day, _ in recorded("daily_bars")] == ["2025-01-03"]
    (told,) = instance.fetch_observations(dg.AssetKey("daily_bars"), limit=9).records
    assert told.partition_key == "2025-01-06"
    assert "has not begun" in told.asset_observation.description


def test_before_the_final_time_only_minute_bars_load_and_are_provisional(
    launch, recorded, query, at
):
    at("2025-01-06 11:00")
    market = Market()
    assert launch(market, "minute_bars,daily_bars", "2025-01-06").success
    assert recorded("daily_bars") == []
    assert recorded("minute_bars") == [("2025-01-06", 3)]
    provisional = "SELECT provisional FROM ingest_ledger ORDER BY id"
    assert query(provisional) == [(True,)]
    at("2025-01-06 16:00")
    assert launch(market, "minute_bars,daily_bars", "2025-01-06").success
    assert query("SELECT asset, provisional FROM ingest_ledger ORDER BY asset, id") == [
        ("daily_bars", False),
        ("minute_bars", True),
        ("minute_bars", False),
    ]
    assert recorded("daily_bars") == [("2025-01-06", 3)]


def test_run_config_limits_symbols(launch, query):
    assert launch(Market(), "daily_bars", "2025-01-02", symbols=["0126Z0", "005930"]).success
    assert query("SELECT symbol FROM daily_bars ORDER BY 1") == [("005930",), ("0126Z0",)]
    assert query("SELECT symbols FROM ingest_ledger") == [(["005930", "0126Z0"],)]


@pytest.mark.parametrize("symbols", [[], ["5930"], ["samsng"], ["0593aB"], ["삼성전자우선"]])
def test_wrong_symbols_in_run_config_are_named(launch, query, symbols):
    result = launch(Market(), "daily_bars", "2025-01-02", symbols=symbols)
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "must name at least one KRX code" in str(failure.step_failure_data.error)
    assert query("SELECT count(*) FROM ingest_ledger") == [(0,)]


def test_market_flows_have_no_symbols_to_choose_from(launch, query, recorded):
    assert launch(Market(), "market_flows", "2025-01-02").success
    result = launch(Market(), "market_flows", "2025-01-02", symbols=["005930"])
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "leave symbols out of its run config" in str(failure.step_failure_data.error)
    assert query("SELECT count(*) FROM ingest_ledger") == [(1,)]
    assert launch(Market(), "market_flows", "2025-01-02").success
    assert query("SELECT market, individual_amount FROM market_flows ORDER BY market") == [
        ("KOSDAQ", -4),
        ("KOSPI", -4),
    ]
    assert recorded("market_flows") == [("2025-01-02", 2)] * 2


def test_loading_again_needs_a_word_when_rows_vanish(launch, recorded):
    assert launch(Market(), "daily_bars", "2025-01-02").success

    class Fewer(Market):
        def daily_bars(self, session, symbols):
            return super().daily_bars(session, ["005930"])

    assert not launch(Fewer(), "daily_bars", "2025-01-02").success
    assert launch(Fewer(), "daily_bars", "2025-01-02", allow_shrink=True).success
    assert [rows for _, rows in recorded("daily_bars")] == [3, 1]
