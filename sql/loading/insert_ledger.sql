INSERT INTO ingest_ledger (
    run_id, asset, session, source, simulated, provisional, outcome, symbols, rows_loaded,
    rows_replaced, rows_quarantined, checksum, error, started_at, committed_at
)
VALUES (
    $1::text, $2::text, $3::date, $4::text, $5::boolean, $6::boolean, $7::text, $8::text[],
    $9::bigint, $10::bigint, $11::bigint, $12::bigint, $13::text, $14::text::timestamptz,
    CASE WHEN $7::text = 'committed' THEN clock_timestamp() END
)
RETURNING id
