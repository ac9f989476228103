"""The assets ``compression`` and ``retention`` in real Dagster runs, on either edition."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import dagster as dg
import pytest

from resources.calendar import SEOUL, seoul_now
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.settings import market_settings
from resources.tables import DAILY_BARS, MINUTE_BARS
from stock_assets import definitions as location
from tests.pipeline.market import SETTINGS, Market

NOW = datetime(2026, 11, 20, 20, tzinfo=SEOUL)


@pytest.fixture
def launch(instance, timescaledb, maintainer, application_database):
    """Run one of the assets."""

    def launch(asset: str, settings=SETTINGS, **config) -> dg.ExecuteInProcessResult:
        overrides = {
            "timescaledb": timescaledb,
            "timescaledb_maintainer": maintainer,
            "application_database": application_database,
            "market_source": Market(),
        }
        job = location.build_defs(overrides, settings).resolve_job_def("maintenance")
        return job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset)],
            run_config={"ops": {asset: {"config": config}}} if config else None,
            raise_on_error=False,
        )

    return launch


@pytest.fixture
def run(launch):
    """Run one of the assets successfully; the metadata it recorded."""

    def run(asset: str, settings=SETTINGS, **config) -> dict[str, object]:
        result = launch(asset, settings, **config)
        assert result.success
        (event,) = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}

    return run


@pytest.fixture
def old_bars(timescaledb):
    """Three daily bars of 2020."""
    attempt = Attempt(DAILY_BARS, date(2020, 1, 2), None, "load", "market", False, False, NOW)
    ingest(Market(), timescaledb, attempt, source_timeout=10, now=NOW)


@pytest.fixture
def ticks(query):
    """A tick of realtime_prices at 09:01 in Seoul on each of some days, in a chunk of its own;
    the chunks, as long as there is one."""

    def ticks(days: Sequence[date]) -> list[str]:
        for day in days:
            query(
                """INSERT INTO realtime_prices (time, symbol, seq, price, volume)
                   VALUES (%s, '005930', 1, 100, 1)""",
                [datetime.combine(day, time(9, 1), SEOUL)],
            )
        chunks = query("SELECT show_chunks('realtime_prices')::text ORDER BY 1")
        return [chunk for (chunk,) in chunks]

    return ticks


def days_ago(days: int) -> date:
    return seoul_now().date() - timedelta(days=days)


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, object]]:
    """What a run that failed says, and the metadata it failed with."""
    assert not result.success
    (event,) = [event for event in result.all_node_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data
    return said.description, {name: value.value for name, value in said.metadata.items()}


def test_compression_reports_what_it_did_or_why_it_did_nothing(run, old_bars, query, server_says):
    metadata = run("compression")
    ((licence,),) = query("SHOW timescaledb.license")
    assert metadata["server"] == server_says
    if licence == "apache":
        assert metadata.keys() == {"server", "skipped"}
        assert "Apache on PostgreSQL" in metadata["skipped"]
        assert metadata["skipped"].endswith("cannot compress; TimescaleDB Community can")
        return
    assert metadata["daily_bars_chunks_compressed"] == 1
    before, after = metadata["daily_bars_bytes_before"], metadata["daily_bars_bytes_after"]
    assert before > 0
    assert metadata["daily_bars_ratio"] == round(before / after, 2)
    # The other tables hold nothing, so there is nothing to plot of them.
    assert all(name.startswith("daily_bars_") for name in metadata.keys() - {"server"})
    again = run("compression")
    assert again["daily_bars_chunks_compressed"] == again["daily_bars_bytes_before"] == 0
    # The plot goes on.
    assert again["daily_bars_ratio"] == metadata["daily_bars_ratio"]


@pytest.mark.usefixtures("community")
def test_compression_leaves_alone_what_is_younger_than_its_limit(run, ticks):
    limit = market_settings({"COMPRESS_AFTER": "40"})
    ticks([days_ago(35)])
    metadata = run("compression", limit)
    assert metadata["realtime_prices_chunks"] == 1
    assert metadata["realtime_prices_chunks_in_columnstore"] == 0
    assert "realtime_prices_ratio" not in metadata
    ticks([days_ago(45)])
    metadata = run("compression", limit)
    assert metadata["realtime_prices_chunks_compressed"] == 1
    assert metadata["realtime_prices_chunks"] == 2
    assert metadata["realtime_prices_chunks_in_columnstore"] == 1


@pytest.mark.usefixtures("community")
def test_a_chunk_that_cannot_be_compressed_keeps_no_other_from_it(launch, ticks, freeze):
    frozen, _ = ticks([date(2020, 1, 2), date(2020, 1, 6)])
    freeze(frozen)
    text, metadata = failure(launch("compression"))
    assert "realtime_prices 2020-01-02 to 2020-01-03 was not compressed: " in text
    assert "2020-01-06" not in text
    assert metadata["realtime_prices_chunks_compressed"] == 1


@pytest.mark.parametrize("asset", ["compression", "retention"])
def test_a_chunk_of_a_session_that_is_being_loaded_waits(asset, run, ticks, query):
    ((licence,),) = query("SHOW timescaledb.license")
    if asset == "compression" and licence == "apache":
        pytest.skip(
            "needs TimescaleDB Community, this server is Apache; --timescale-dsn names another"
        )
    ticks([date(2020, 1, 2), date(2020, 1, 6)])
    lock = "SELECT pg_advisory_lock(hashtext('realtime_prices'), %s - date '2000-01-01')"
    query(lock, [date(2020, 1, 6)])
    metadata = run(asset, market_settings({"REALTIME_PRICES_RETENTION": "1000"}))
    if asset == "compression":
        assert metadata["realtime_prices_chunks_compressed"] == 1
    else:
        assert metadata["realtime_prices_chunks_dropped"] == 1
        assert metadata["realtime_prices_chunks_kept"] == 1
        assert query("SELECT time::date FROM realtime_prices") == [(date(2020, 1, 6),)]


@pytest.mark.parametrize("asset", ["compression", "retention"])
def test_a_server_that_will_not_do_is_one_clear_line(asset, launch, monkeypatch):
    monkeypatch.setattr("resources.edition._POSTGRESQL", 99)
    text, _ = failure(launch(asset))
    assert "99 or newer is needed" in text
    assert "\n" not in text


def test_retention_is_off_until_it_is_configured(run, old_bars, query, server_says):
    metadata = run("retention")
    assert "everything is kept" in metadata.pop("skipped")
    assert metadata == {"server": server_says}
    assert query("SELECT count(*) FROM daily_bars") == [(3,)]


def test_retention_drops_what_is_older_than_its_limit(run, old_bars, ticks, query, server_says):
    kept, dropped = days_ago(35), days_ago(45)
    ticks([dropped, kept])
    limit = market_settings({"DAILY_BARS_RETENTION": "1000", "REALTIME_PRICES_RETENTION": "40"})
    told = run("retention", limit, dry_run=True)
    assert told == {
        "server": server_says,
        "dry_run": True,
        "daily_bars_chunks_dropped": 1,
        "daily_bars_rows_dropped": 3,
        "daily_bars_chunks_kept": 0,
        "realtime_prices_chunks_dropped": 1,
        "realtime_prices_rows_dropped": 1,
        "realtime_prices_chunks_kept": 0,
    }
    assert query("SELECT count(*) FROM daily_bars") == [(3,)]
    assert run("retention", limit) == told | {"dry_run": False}
    assert query("SELECT count(*) FROM daily_bars") == [(0,)]
    assert query("SELECT time FROM realtime_prices") == [
        (datetime.combine(kept, time(9, 1), SEOUL).astimezone(UTC),)
    ]
    assert query(
        """SELECT asset, session, rows_replaced FROM ingest_ledger
           WHERE outcome = 'dropped' ORDER BY asset"""
    ) == [("daily_bars", date(2020, 1, 2), 3), ("realtime_prices", dropped, 1)]


def test_retention_keeps_minute_bars_that_the_candles_lack(run, timescaledb, query):
    attempt = Attempt(MINUTE_BARS, date(2020, 1, 2), None, "load", "market", False, False, NOW)
    ingest(Market(), timescaledb, attempt, source_timeout=10, now=NOW)
    metadata = run("retention", market_settings({"STOCK_PRICES_RETENTION": "1000"}))
    assert metadata["stock_prices_chunks_kept"] == 1
    assert metadata["stock_prices_rows_dropped"] == 0
    assert query("SELECT count(*) FROM stock_prices") == [(3,)]


def test_a_chunk_that_cannot_be_dropped_keeps_no_other_from_it(launch, ticks, freeze, query):
    frozen, _ = ticks([date(2020, 1, 2), date(2020, 1, 6)])
    freeze(frozen)
    text, metadata = failure(
        launch("retention", market_settings({"REALTIME_PRICES_RETENTION": "1000"}))
    )
    assert text.startswith("realtime_prices 2020-01-02: ")
    assert "2020-01-06" not in text
    assert metadata["realtime_prices_chunks_dropped"] == 1
    assert query("SELECT time::date FROM realtime_prices") == [(date(2020, 1, 2),)]
