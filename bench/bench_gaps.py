"""What it costs to ask what is missing, over ten years of the whole market."""

import json
from datetime import date, datetime, time

from resources.aggregates import AGGREGATES
from resources.calendar import SEOUL, krx_calendar
from resources.connections import Databases
from resources.gaps import find_gaps
from resources.settings import market_settings
from resources.tables import Dataset

SESSIONS = [day for day in krx_calendar().sessions if day >= date(2015, 1, 2)][:2_500]
SYMBOLS = 2_700
_SYMBOL = "lpad((number * 10)::text, 6, '0')"


def bench_gaps_of_ten_years(
    timescaledb, application_database, maintainer, query, query_application, median_seconds, report
):
    """6.7 million daily bars, ledgers and check results of all datasets, and a few gaps; the peer
    is a plain count of the bars."""
    query(
        f"""INSERT INTO daily_bars
            SELECT day, {_SYMBOL}, 100, 120, 90, 110, 1000, 110000, 1000000, 1000
            FROM unnest(%s::date[]) AS day, generate_series(1, {SYMBOLS}) AS number""",
        [SESSIONS],
    )
    ledger = """INSERT INTO ingest_ledger (run_id, asset, session, source, simulated, provisional,
                    outcome, rows_loaded, rows_replaced, rows_quarantined, started_at, committed_at)
                SELECT 'run', asset, day, 'bench', true, false, 'committed', %s, 0, 0, now(), now()
                FROM unnest(%s::date[]) AS day, unnest(%s::text[]) AS asset"""
    timescale = [dataset.value for dataset in Dataset if dataset is not Dataset.SYMBOLS]
    query(ledger, [SYMBOLS, SESSIONS, timescale])
    query_application(ledger, [SYMBOLS, SESSIONS, ["symbols"]])
    # Only the bars have rows.
    query("UPDATE ingest_ledger SET rows_loaded = 0 WHERE asset <> 'daily_bars'")
    query(
        """INSERT INTO aggregate_refreshes
           SELECT name, session, id, 'run', 0, now()
           FROM ingest_ledger, unnest(%s::text[]) AS name
           WHERE asset = 'minute_bars'""",
        [[aggregate.name for aggregate in AGGREGATES]],
    )
    # Ten rules of each session of four tables, of which one in fifty failed.
    query(
        """INSERT INTO check_results (asset, session, rule, severity, passed, ledger_id, checked,
               found, details, run_id)
           SELECT asset, session, 'rule ' || number, 'warning', random() > 0.02, id, 2700, 1,
                  %s::jsonb, 'run'
           FROM ingest_ledger, generate_series(1, 10) AS number""",
        [json.dumps({"examples": [{"symbol": "005930", "difference": "prices"}] * 20})],
    )
    query("DELETE FROM daily_bars WHERE date = %s AND symbol < '000100'", [SESSIONS[7]])
    query("VACUUM ANALYZE daily_bars")
    query("ANALYZE")
    settings = market_settings(
        {f"{name}_FIRST_SESSION".upper(): str(SESSIONS[0]) for name in Dataset}
    )
    now = datetime.combine(SESSIONS[-1], time(23), SEOUL)

    def look():
        with Databases.held(timescaledb, application_database) as databases:
            return find_gaps(databases, maintainer, settings, now)

    found = look()
    assert len(found) > 500
    ours = median_seconds(look)
    peer = median_seconds(lambda: query("SELECT count(*) FROM daily_bars"))
    report(
        f"gaps over {len(SESSIONS):,} sessions × {SYMBOLS:,} daily bars (goal 2 s)",
        f"{ours * 1000:,.0f} ms",
        f"count(*) {peer * 1000:,.0f} ms",
        ours / peer,
        "≤ 8",
    )
