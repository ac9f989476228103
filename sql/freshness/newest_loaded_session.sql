-- $1 asset: the newest session that was loaded whole and when it was final.
SELECT max(session)
FROM ingest_ledger
WHERE asset = $1::text AND outcome = 'committed' AND NOT provisional AND symbols IS NULL
