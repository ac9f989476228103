-- $1 asset, $2 session: whether the rows in the table were simulated.
SELECT simulated FROM ingest_ledger
WHERE asset = $1::text AND session = $2::date AND outcome = 'committed' AND rows_loaded > 0
ORDER BY id DESC
LIMIT 1
