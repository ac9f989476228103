-- $1 asset, $2 first and $3 last session: sessions committed between them, and the rows each got
-- from its newest load of all symbols.
SELECT session, rows_loaded
FROM (
    SELECT DISTINCT ON (session) session, rows_loaded
    FROM ingest_ledger
    WHERE asset = $1::text AND session BETWEEN $2::date AND $3::date
      AND outcome = 'committed' AND symbols IS NULL
    ORDER BY session, id DESC
) AS newest
ORDER BY session
