-- $1 session, $2 symbols (null = all): the session's members if it was loaded before; those carried
-- over from an older session are not replaced by loading it.
SELECT count(*) FROM symbols_on($1::date)
WHERE ($2::text[] IS NULL OR symbol = ANY ($2::text[]))
  AND EXISTS (
      SELECT FROM ingest_ledger
      WHERE asset = 'symbols' AND session = $1::date AND outcome = 'committed'
  )
