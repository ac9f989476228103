-- The newest committed load of every session of every asset, but of those that retention dropped.
SELECT asset, session, id
FROM (
    SELECT DISTINCT ON (asset, session) asset, session, id, outcome
    FROM ingest_ledger
    WHERE outcome IN ('committed', 'dropped')
    ORDER BY asset, session, id DESC
) AS newest
WHERE outcome = 'committed'
