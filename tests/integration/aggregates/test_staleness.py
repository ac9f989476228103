"""Which sessions need a refresh, and that no commit is missed by one."""

from resources.aggregates import AGGREGATES, CANDLES_5M, VOLUME_PROFILE
from resources.refresh import check_server, record_refresh, refresh, stale_sessions
from tests.integration.aggregates.market import SESSIONS, minutes

FIRST, SECOND, _ = SESSIONS
NAMES = tuple(aggregate.name for aggregate in AGGREGATES)


def stale(maintainer):
    return [(one.session, one.aggregates) for one in stale_sessions(maintainer)]


def test_a_loaded_session_is_stale_until_every_aggregate_is_refreshed(load, refreshed, maintainer):
    assert stale(maintainer) == []
    load(SECOND)
    load(FIRST)
    assert stale(maintainer) == [(FIRST, NAMES), (SECOND, NAMES)]
    refreshed(FIRST, CANDLES_5M)
    refreshed(SECOND)
    assert stale(maintainer) == [(FIRST, ("daily_candles", "volume_profile"))]
    refreshed(FIRST)
    assert stale(maintainer) == []


def test_it_is_again_after_a_load_also_of_some_symbols(load, refreshed, maintainer, query):
    load(FIRST)
    refreshed(FIRST)
    load(FIRST, symbols=("005930",))
    ((newest,),) = query("SELECT max(id) FROM ingest_ledger")
    (found,) = stale_sessions(maintainer)
    assert (found.session, found.ledger_id, found.aggregates) == (FIRST, newest, NAMES)


def test_a_load_that_did_not_commit_changes_nothing(load, refreshed, maintainer, query):
    load(FIRST)
    refreshed(FIRST)
    query(
        "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, "
        "outcome, rows_loaded, rows_replaced, rows_quarantined, error, started_at) "
        "VALUES ('r', 'minute_bars', '2025-06-12', 's', false, false, 'failed', 0, 0, 0, 'x', "
        "now())"
    )
    assert stale(maintainer) == []


def test_other_assets_do_not_count(maintainer, query):
    query(
        "INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional, "
        "outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at) "
        "VALUES ('r', 'daily_bars', '2025-06-12', 's', false, false, 'committed', 1, 0, 0, now(), "
        "now())"
    )
    assert stale(maintainer) == []


def test_a_load_that_commits_before_the_refresh_is_recorded_leaves_it_stale(load, maintainer):
    load(FIRST)
    server = check_server(maintainer)
    before = refresh(maintainer, server, VOLUME_PROFILE, FIRST)
    load(FIRST, minutes(FIRST, seed=1))
    record_refresh(maintainer, before, "refresh")
    assert stale(maintainer) == [(FIRST, NAMES)]


def test_a_late_record_does_not_hide_a_later_refresh(load, refreshed, maintainer, query):
    load(FIRST)
    server = check_server(maintainer)
    early = refresh(maintainer, server, CANDLES_5M, FIRST)
    load(FIRST, minutes(FIRST, seed=1))
    refreshed(FIRST)
    record_refresh(maintainer, early, "early")
    assert stale(maintainer) == []
    assert query("SELECT DISTINCT run_id FROM aggregate_refreshes") == [("refresh",)]


def test_what_reads_another_aggregate_is_stale_when_that_was_refreshed_later(
    load, refreshed, maintainer
):
    load(FIRST)
    refreshed(FIRST)
    refreshed(FIRST, CANDLES_5M)
    assert stale(maintainer) == [(FIRST, ("daily_candles",))]


def test_the_ledger_says_how_many_rows_a_session_has(load, query):
    def both() -> list[tuple[object, ...]]:
        return query(
            "SELECT ledger_id = (SELECT max(id) FROM ingest_ledger), rows, "
            "(SELECT count(*) FROM stock_prices) FROM loaded_sessions"
        )

    load(FIRST, symbols=("005930", "000660"))
    load(FIRST, symbols=("000660",))
    load(FIRST, symbols=("0126Z0",))
    ((newest, known, there),) = both()
    assert newest
    assert known == there
    load(FIRST)
    load(FIRST, minutes(FIRST).iloc[:50], symbols=("005930",), allow_shrink=True)
    ((newest, known, there),) = both()
    assert newest
    assert known == there


def test_a_session_whose_minute_bars_were_dropped_says_so(load, refreshed, maintainer, query):
    for session in (FIRST, SECOND):
        load(session)
    assert [one.dropped for one in stale_sessions(maintainer)] == [False, False]
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-06-13 00:00+00')")
    assert [one.dropped for one in stale_sessions(maintainer)] == [True, False]
    load(FIRST)
    assert [one.dropped for one in stale_sessions(maintainer)] == [False, False]
    query("SELECT drop_chunks('stock_prices', timestamptz '2025-07-01')")
    assert [one.dropped for one in stale_sessions(maintainer)] == [True, True]
