"""The assets ``compression`` and ``retention`` in real Dagster runs, on either edition."""

from datetime import date, datetime

import dagster as dg
import pytest

from resources.calendar import SEOUL
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.settings import market_settings
from resources.tables import DAILY_BARS
from stock_assets import definitions as location
from tests.pipeline.market import SETTINGS, Market

NOW = datetime(2026, 11, 20, 20, tzinfo=SEOUL)


@pytest.fixture
def run(instance, timescaledb, maintainer, application_database):
    """Run one of the assets; its run and the metadata it recorded."""

    def run(asset: str, settings=SETTINGS, **config) -> dict[str, object]:
        overrides = {
            "timescaledb": timescaledb,
            "timescaledb_maintainer": maintainer,
            "application_database": application_database,
            "market_source": Market(),
        }
        job = location.build_defs(overrides, settings).resolve_job_def("maintenance")
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset)],
            run_config={"ops": {asset: {"config": config}}} if config else None,
        )
        assert result.success
        (event,) = result.get_asset_materialization_events()
        return {name: value.value for name, value in event.materialization.metadata.items()}

    return run


@pytest.fixture
def old_bars(timescaledb):
    """Three daily bars of 2020."""
    attempt = Attempt(DAILY_BARS, date(2020, 1, 2), None, "load", "market", False, False, NOW)
    ingest(Market(), timescaledb, attempt, source_timeout=10, now=NOW)


def test_compression_reports_what_it_did_or_why_it_did_nothing(run, old_bars, query):
    metadata = run("compression")
    ((licence,),) = query("SHOW timescaledb.license")
    if licence == "apache":
        assert metadata.keys() == {"server", "skipped"}
        assert "Apache on PostgreSQL" in metadata["skipped"]
        assert metadata["skipped"].endswith("cannot compress; TimescaleDB Community can")
        return
    assert metadata["daily_bars_chunks_compressed"] == 1
    assert metadata["daily_bars_bytes_before"] > 0
    assert metadata["daily_bars_ratio"] > 0
    assert metadata["stock_prices_chunks_compressed"] == 0
    assert "stock_prices_ratio" not in metadata
    assert run("compression")["daily_bars_chunks_compressed"] == 0


def test_retention_is_off_until_it_is_configured(run, old_bars, query):
    assert "everything is kept" in run("retention")["skipped"]
    assert query("SELECT count(*) FROM daily_bars") == [(3,)]


def test_retention_drops_what_is_older_than_its_limit(run, old_bars, query):
    limit = market_settings({"DAILY_BARS_RETENTION": "1000"})
    told = run("retention", limit, dry_run=True)
    assert told == {
        "dry_run": True,
        "daily_bars_chunks_dropped": 1,
        "daily_bars_rows_dropped": 3,
        "daily_bars_chunks_kept": 0,
    }
    assert query("SELECT count(*) FROM daily_bars") == [(3,)]
    assert run("retention", limit) == told | {"dry_run": False}
    assert query("SELECT count(*) FROM daily_bars") == [(0,)]
    assert query(
        """SELECT asset, session::text, rows_replaced FROM ingest_ledger
           WHERE outcome = 'dropped'"""
    ) == [("daily_bars", "2020-01-02", 3)]
