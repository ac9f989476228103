-- What the ledger says of each session it knows: the newest commit (null: none; or dropped since),
-- whether one was of all symbols, whether the rows are provisional, and what went wrong since.
SELECT asset,
       session,
       max(id) FILTER (WHERE outcome = 'committed') AS committed,
       coalesce(max(id) FILTER (WHERE outcome = 'dropped')
                > max(id) FILTER (WHERE outcome = 'committed'), false) AS dropped,
       coalesce(bool_or(symbols IS NULL) FILTER (WHERE outcome = 'committed'), false) AS whole,
       coalesce((array_agg(provisional ORDER BY symbols IS NULL DESC, id DESC)
                 FILTER (WHERE outcome = 'committed'))[1], false) AS provisional,
       (array_agg(error ORDER BY id DESC))[1] AS error
FROM ingest_ledger
GROUP BY asset, session
