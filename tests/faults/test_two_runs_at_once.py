"""Two runs of one session at once, each a process of its own."""

import dagster as dg

from resources.tables import DAILY_BARS
from tests.faults.agreement import assert_agreement
from tests.integration.access import eventually
from tests.project import finished, make_project, start_dg

SESSION = "2025-01-02"


def test_one_waits_for_the_other_and_the_table_holds_one_whole_copy(
    stack, timescaledb, query, instance, tmp_path
):
    project = make_project(tmp_path, stack.environment | {"DAILY_BARS_FIRST_SESSION": SESSION})
    launch = ("launch", "--assets", "daily_bars", "--partition", SESSION)
    # Until both are there, neither gets the session.
    with timescaledb.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtext('daily_bars'), date '2025-01-02' "
            "- date '2000-01-01')"
        )
        cursor.fetchall()
        # Two markets: rows of both would be told apart.
        runs = [start_dg(project, *launch, SIMULATED_SEED=seed) for seed in ("1", "2")]
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: query(waiting) == [(2,)], 120)
    for run in runs:
        result = finished(run)
        assert result.returncode == 0, result.stderr[-3000:]

    ledger = "SELECT outcome, rows_loaded, rows_replaced FROM ingest_ledger ORDER BY id"
    assert query(ledger) == [("committed", 50, 0), ("committed", 50, 50)]
    different = "SELECT count(DISTINCT run_id), count(DISTINCT checksum) FROM ingest_ledger"
    assert query(different) == [(2, 2)]
    assert set(assert_agreement(query, timescaledb, DAILY_BARS).values()) == {50}
    assert len(instance.fetch_materializations(dg.AssetKey("daily_bars"), limit=9).records) == 2
