INSERT INTO aggregate_refreshes (aggregate, session, ledger_id, run_id, rows, refreshed_at)
VALUES ($1::text, $2::date, $3::bigint, $4::text, $5::bigint, $6::timestamptz)
ON CONFLICT (aggregate, session) DO UPDATE
SET ledger_id = excluded.ledger_id, run_id = excluded.run_id, rows = excluded.rows,
    refreshed_at = excluded.refreshed_at
WHERE excluded.refreshed_at >= aggregate_refreshes.refreshed_at
