-- $1 asset, $2 first and $3 last session: sessions with a committed load that retention has not
-- dropped since, the newest one, how many rows they have after it, whether it was provisional, and
-- whether all symbols were ever loaded.
SELECT session, max(id) AS ledger_id,
       coalesce(sum(rows_loaded) FILTER (WHERE id = whole), 0)::bigint
           + coalesce(sum(rows_loaded - rows_replaced) FILTER (WHERE id > whole), 0)::bigint AS rows,
       (array_agg(provisional ORDER BY id DESC))[1] AS provisional,
       max(whole) > 0 AS whole
FROM (
    SELECT id, session, symbols, rows_loaded, rows_replaced, provisional,
           coalesce(max(id) FILTER (WHERE symbols IS NULL) OVER (PARTITION BY session), 0) AS whole
    FROM ingest_ledger AS load
    WHERE asset = $1::text AND session BETWEEN $2::date AND $3::date AND outcome = 'committed'
      AND NOT EXISTS (
          SELECT FROM ingest_ledger AS later
          WHERE later.asset = load.asset AND later.session = load.session
            AND later.outcome = 'dropped' AND later.id > load.id
      )
) AS committed
GROUP BY session
