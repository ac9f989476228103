-- $1 asset, $2 runs: the sessions they committed.
SELECT DISTINCT session
FROM ingest_ledger
WHERE asset = $1::text AND run_id = ANY($2::text[]) AND outcome = 'committed'
