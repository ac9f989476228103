-- $1 asset, $2 session: whether the session's rows are there or were dropped by retention, and whether
-- they are provisional.
SELECT outcome, provisional FROM ingest_ledger
WHERE asset = $1::text AND session = $2::date AND outcome IN ('committed', 'dropped')
ORDER BY id DESC
LIMIT 1
