-- $1 asset: the newest commit of every session.
SELECT DISTINCT ON (session)
    id, run_id, session, source, simulated, provisional, symbols, rows_loaded AS loaded,
    rows_replaced AS replaced, rows_quarantined AS quarantined, checksum
FROM ingest_ledger
WHERE asset = $1::text AND outcome = 'committed'
ORDER BY session, id DESC
