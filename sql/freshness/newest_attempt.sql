-- $1 asset, $2 session: what became of the newest attempt to load it.
SELECT outcome, provisional, coalesce(cardinality(symbols), 0) AS symbols, error
FROM ingest_ledger
WHERE asset = $1::text AND session = $2::date
ORDER BY id DESC
LIMIT 1
