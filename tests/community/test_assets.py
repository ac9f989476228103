# ruff: noqa: S608
"""The platform's own assets on the Community engine, over sessions of the simulated market."""

import re
from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from resources.aggregates import AGGREGATES
from resources.calendar import krx_calendar, seoul_now
from resources.settings import market_settings
from resources.sources.simulated.source import SimulatedSource
from resources.statements import statement
from stock_assets.definitions import build_defs
from tests.integration.aggregates.conftest import *  # noqa: F403

FIRST, SECOND, THIRD = SESSIONS = ("2025-06-12", "2025-06-13", "2025-06-16")
ASSETS = ("minute_bars", *(aggregate.name for aggregate in AGGREGATES))


@pytest.fixture
def collect(timescaledb, maintainer, application_database, instance) -> Callable[..., None]:
    """Load sessions of minute bars and refresh their candles, in one run."""

    def collect(first: str, last: str = "", seed: int = 0) -> None:
        location = build_defs(
            {
                "market_source": SimulatedSource(krx_calendar(), seoul_now, size=3, seed=seed),
                "timescaledb": timescaledb,
                "timescaledb_maintainer": maintainer,
                "application_database": application_database,
            },
            market_settings({"MINUTE_BARS_FIRST_SESSION": FIRST}),
        )
        result = location.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in ASSETS],
            tags={
                "dagster/asset_partition_range_start": first,
                "dagster/asset_partition_range_end": last or first,
            },
        )
        assert result.success

    return collect


@pytest.fixture
def stored(query) -> Callable[[], dict[str, list[list[tuple[object, ...]]]]]:
    """Everything in every aggregate, by session."""

    def of(session: str) -> list[list[tuple[object, ...]]]:
        return [
            query(
                f"SELECT * FROM {aggregate.name} WHERE (bucket AT TIME ZONE 'Asia/Seoul')::date = "
                f"%s ORDER BY {', '.join(aggregate.key)}",
                [session],
            )
            for aggregate in AGGREGATES
        ]

    return lambda: {session: of(session) for session in SESSIONS}


@pytest.fixture
def compress(query) -> Iterator[Callable[[], None]]:
    """Compress the chunks of all sessions but the newest, as far as they are not."""
    query(
        "ALTER TABLE stock_prices SET (timescaledb.compress, timescaledb.compress_segmentby = "
        "'symbol, venue', timescaledb.compress_orderby = 'time')"
    )
    yield lambda: query(
        "SELECT compress_chunk(chunk) "
        "FROM show_chunks('stock_prices', older_than => timestamptz '2025-06-16 00:00+09') AS chunk"
    )
    query("SELECT decompress_chunk(show_chunks('stock_prices'), true)")
    query("ALTER TABLE stock_prices SET (timescaledb.compress = false)")


@pytest.fixture
def chunks(query) -> Callable[[], list[str]]:
    """What TimescaleDB calls the chunks of minute bars, oldest first; empty: not compressed."""

    def chunks() -> list[str]:
        found = query(
            "SELECT array_to_string(_timescaledb_functions.chunk_status_text("
            "format('%I.%I', chunk_schema, chunk_name)::regclass), ' ') "
            "FROM timescaledb_information.chunks WHERE hypertable_name = 'stock_prices' "
            "ORDER BY range_start"
        )
        return [status for (status,) in found]

    return chunks


@pytest.fixture
def measured(query) -> Callable[[], dict[str, float]]:
    """What timescale_stats says of the chunks of minute bars."""

    def measured() -> dict[str, float]:
        rows = query(statement("monitoring/chunks")) + query(statement("monitoring/compression"))
        return {name: value for name, (table,), value in rows if table == "stock_prices"}

    return measured


def test_candles_are_continuous_aggregates_of_what_the_assets_loaded(
    collect, query, stored, differing, instance
):
    collect(FIRST, THIRD)
    views = "SELECT view_name FROM timescaledb_information.continuous_aggregates"
    assert {name for (name,) in query(views)} == {aggregate.name for aggregate in AGGREGATES}
    assert all(rows for session in stored().values() for rows in session)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []
        event = instance.get_latest_materialization_event(dg.AssetKey(aggregate.name))
        server = event.asset_materialization.metadata["server"].value
        assert re.fullmatch(r"TimescaleDB 2\.\d+\.\S+ Community on PostgreSQL 17\.\d+", server)
    assert query("SELECT session::text, simulated, outcome FROM ingest_ledger ORDER BY id") == [
        (session, True, "committed") for session in SESSIONS
    ]


def test_a_session_loaded_again_changes_its_candles_and_no_others(collect, stored, differing):
    collect(FIRST, THIRD)
    before = stored()
    collect(SECOND, seed=1)
    after = stored()
    changed = [session for session in SESSIONS if after[session] != before[session]]
    assert changed == [SECOND]
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []


def test_old_sessions_are_compressed_loaded_again_and_compressed_again(
    collect, compress, chunks, stored, differing, measured
):
    collect(FIRST, THIRD)
    before = stored()
    compress()
    assert chunks() == ["COMPRESSED", "COMPRESSED", ""]
    numbers = measured()
    assert (numbers["chunks"], numbers["compressed_chunks"]) == (3, 2)
    assert numbers["partly_compressed_chunks"] == 0
    ratio = numbers["before_compression_bytes"] / numbers["after_compression_bytes"]
    assert numbers["compression_ratio"] == pytest.approx(ratio)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []
    collect(FIRST, THIRD)
    assert stored() == before
    collect(FIRST, seed=1)
    assert chunks() == ["COMPRESSED PARTIAL", "COMPRESSED PARTIAL", ""]
    assert measured()["partly_compressed_chunks"] == 2
    compress()
    assert chunks() == ["COMPRESSED", "COMPRESSED", ""]
    after = stored()
    assert [session for session in SESSIONS if after[session] != before[session]] == [FIRST]
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []
