-- $1 asset, $2 days and $3 rows of each that were dropped, $4 run, $5 when it began.
INSERT INTO ingest_ledger (
    run_id, asset, session, source, simulated, provisional, outcome, rows_loaded, rows_replaced,
    rows_quarantined, started_at, committed_at
)
SELECT $4::text, $1::text, dropped.day, 'retention',
       coalesce(newest.simulated, false), false, 'dropped', 0, dropped.rows, 0,
       $5::timestamptz, clock_timestamp()
FROM unnest($2::date[], $3::bigint[]) AS dropped (day, rows)
LEFT JOIN LATERAL (
    SELECT simulated FROM ingest_ledger
    WHERE asset = $1::text AND session = dropped.day AND outcome = 'committed'
    ORDER BY id DESC LIMIT 1
) AS newest ON true
