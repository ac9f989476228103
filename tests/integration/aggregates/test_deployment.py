"""Aggregates are put in place as the edition allows, again when they change, and never at the
price of history."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import resources.deployment
from resources.aggregates import AGGREGATES, CANDLES_5M, DAILY_CANDLES, VOLUME_PROFILE
from resources.deployment import DeploymentError, TimescaleMigrator, deploy
from resources.edition import Edition, read_server
from resources.refresh import check_server, stale_sessions
from resources.tables import Kind
from tests.integration.aggregates.market import SESSIONS

FIRST, SECOND, THIRD = SESSIONS
NAMES = [aggregate.name for aggregate in AGGREGATES]
_TYPES = {
    Kind.TIMESTAMPTZ: "timestamp with time zone",
    Kind.TIME: "time without time zone",
    Kind.PRICE: "numeric(12,2)",
}


@pytest.fixture
def migrator(stack, clean) -> TimescaleMigrator:
    return TimescaleMigrator.from_environment(stack.environment)


@pytest.fixture
def deployed(migrator):
    """Deploy, and return what was said."""

    def deployed() -> list[str]:
        said: list[str] = []
        deploy(migrator, said.append)
        return said

    return deployed


@pytest.fixture
def changed(monkeypatch, query, deployed) -> Iterator[object]:
    """Change aggregates' definitions; at the end they are what they were."""

    def changed(*others: object) -> None:
        by_name = {other.name: other for other in others}
        now = tuple(by_name.get(aggregate.name, aggregate) for aggregate in AGGREGATES)
        monkeypatch.setattr(resources.deployment, "AGGREGATES", now)

    yield changed
    monkeypatch.undo()
    query("TRUNCATE stock_prices, ingest_ledger, candles_5m, daily_candles, volume_profile")
    deployed()


@pytest.fixture
def edition(migrator) -> Edition:
    with migrator.connect() as connection:
        return read_server(connection).edition


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda aggregate: aggregate.name)
def test_columns_and_types_are_the_same_on_both_editions(query, aggregate):
    found = query(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [aggregate.name],
    )
    expected = [
        (column.name, _TYPES.get(column.kind, column.kind.value)) for column in aggregate.columns
    ]
    assert found == expected


def test_each_is_what_the_edition_allows(query, edition):
    views = query(
        "SELECT view_name, materialized_only FROM timescaledb_information.continuous_aggregates "
        "ORDER BY 1"
    )
    tables = query(
        "SELECT hypertable_name FROM timescaledb_information.hypertables "
        "WHERE hypertable_schema = 'public' AND hypertable_name = ANY (%s) ORDER BY 1",
        [NAMES],
    )
    if edition is Edition.COMMUNITY:
        assert (views, tables) == ([(name, True) for name in sorted(NAMES)], [])
    else:
        assert (views, tables) == ([], [(name,) for name in sorted(NAMES)])


def test_chunks_hold_what_was_decided(query, edition):
    """Of the hypertable itself, or of the one behind the view."""
    intervals = query(
        "SELECT coalesce(view_name, d.hypertable_name), time_interval "
        "FROM timescaledb_information.dimensions AS d "
        "LEFT JOIN timescaledb_information.continuous_aggregates "
        "ON materialization_hypertable_name = d.hypertable_name"
    )
    assert {name: days.days for name, days in intervals if name in NAMES} == {
        "candles_5m": 7,
        "daily_candles": 365,
        "volume_profile": 28,
    }


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda aggregate: aggregate.name)
def test_sessions_and_symbols_are_found_by_an_index(query, aggregate):
    indexes = query(
        "SELECT regexp_replace(indexdef, '.* USING btree ', '') FROM pg_indexes "
        "WHERE tablename IN (%s, (SELECT materialization_hypertable_name "
        "FROM timescaledb_information.continuous_aggregates WHERE view_name = %s))",
        [aggregate.name, aggregate.name],
    )
    found = {index.removesuffix(" DESC)").removesuffix(")") for (index,) in indexes}
    assert found == {"(bucket", f"({', '.join(aggregate.key)}"}


def test_nothing_refreshes_or_drops_by_itself(query):
    jobs = query(
        "SELECT proc_name FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL"
    )
    assert jobs == []


def test_they_carry_a_comment(query):
    (comment,) = query("SELECT obj_description('candles_5m'::regclass, 'pg_class')")
    assert comment[0].startswith("5-minute candles by symbol and venue")


def test_again_changes_nothing(deployed):
    assert deployed() == []


def test_two_at_once_follow_each_other(deployed, changed):
    changed(replace(VOLUME_PROFILE, chunk_days=56))
    with ThreadPoolExecutor() as pool:
        said = [line for lines in pool.map(lambda _: deployed(), range(2)) for line in lines]
    assert len(said) == 1


def test_a_changed_definition_is_made_anew_with_what_reads_it(
    load, refreshed, deployed, changed, maintainer, query, differing
):
    load(FIRST)
    refreshed(FIRST)
    changed(replace(CANDLES_5M, chunk_days=8))
    said = deployed()
    assert [line.split()[1] for line in said] == ["candles_5m", "daily_candles"]
    assert "its definition changed; its sessions are refreshed again" in said[0]
    assert "candles_5m, which it reads, is made anew" in said[1]
    assert deployed() == []
    (stale,) = stale_sessions(maintainer)
    assert stale.aggregates == ("candles_5m", "daily_candles")
    assert query("SELECT count(*) FROM volume_profile") != [(0,)]
    refreshed(FIRST)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []


def test_one_that_is_gone_is_made_anew(load, refreshed, deployed, query, edition, maintainer):
    load(FIRST)
    refreshed(FIRST)
    kind = "MATERIALIZED VIEW" if edition is Edition.COMMUNITY else "TABLE"
    query(f"DROP {kind} volume_profile")
    with pytest.raises(
        DeploymentError, match=r"not in place.*: volume_profile \(new\); run make migrate"
    ):
        check_server(maintainer)
    (line,) = deployed()
    assert line.startswith("Deployed: volume_profile as a ")
    assert line.endswith("(new)")
    (stale,) = stale_sessions(maintainer)
    assert stale.aggregates == ("volume_profile",)


def test_history_that_cannot_be_made_again_is_kept(
    load, refreshed, deployed, changed, query, differing
):
    for session in SESSIONS:
        load(session)
        refreshed(session)
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-13 00:00+00')")
    before = query("SELECT * FROM daily_candles ORDER BY symbol, bucket")
    changed(replace(CANDLES_5M, chunk_days=8))
    # Of the second session only the pre-market bars are gone.
    with pytest.raises(
        DeploymentError,
        match=r"candles_5m must be made anew \(its definition changed\), but 2 of its sessions "
        r"\(2025-06-12 to 2025-06-13\) cannot be: .* no longer in stock_prices\. Load those "
        r"sessions of minute_bars again, .* DROP (TABLE|MATERIALIZED VIEW) candles_5m CASCADE",
    ):
        deployed()
    assert query("SELECT * FROM daily_candles ORDER BY symbol, bucket") == before
    for session in (FIRST, SECOND):
        load(session, allow_shrink=True)
    assert len(deployed()) == 2
    for session in SESSIONS:
        refreshed(session)
    for aggregate in AGGREGATES:
        assert differing(aggregate) == []


def test_history_can_be_given_up(load, refreshed, deployed, changed, query, edition):
    load(FIRST)
    refreshed(FIRST)
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-14')")
    changed(replace(VOLUME_PROFILE, chunk_days=56))
    with pytest.raises(DeploymentError) as refusal:
        deployed()
    command = str(refusal.value).rpartition(": ")[2].partition(";")[0]
    query(command)
    assert len(deployed()) == 1


def test_what_still_has_its_source_is_made_anew(
    load, refreshed, deployed, changed, query, differing
):
    """Daily candles come from 5-minute candles, which outlive the raw bars."""
    load(FIRST)
    refreshed(FIRST)
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-14')")
    before = query("SELECT * FROM daily_candles ORDER BY symbol, bucket")
    changed(replace(DAILY_CANDLES, chunk_days=730))
    assert len(deployed()) == 1
    refreshed(FIRST, DAILY_CANDLES)
    assert query("SELECT * FROM daily_candles ORDER BY symbol, bucket") == before


def test_somebody_elses_table_is_left_alone(deployed, query, edition):
    kind = "MATERIALIZED VIEW" if edition is Edition.COMMUNITY else "TABLE"
    query(f"DROP {kind} volume_profile")
    query("CREATE TABLE volume_profile (a int)")
    try:
        with pytest.raises(DeploymentError, match="a volume_profile already that this platform"):
            deployed()
        assert query("SELECT count(*) FROM volume_profile") == [(0,)]
    finally:
        query("DROP TABLE volume_profile")
        deployed()


def test_make_migrate_does_it(stack, query, edition):
    from embedded import migrations
    from embedded.errors import StackError

    assert migrations.up(stack.environment) == []
    kind = "MATERIALIZED VIEW" if edition is Edition.COMMUNITY else "TABLE"
    query(f"DROP {kind} volume_profile")
    (line,) = migrations.up(stack.environment)
    assert line.startswith("Deployed: volume_profile")
    wrong = stack.environment | {"COLLECTOR_MIGRATOR_PASSWORD": "wrong"}
    with pytest.raises(StackError, match=r"not in place: cannot reach TimescaleDB .* as coll"):
        migrations.deploy_aggregates(wrong)
