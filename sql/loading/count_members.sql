-- $1 session, $2 symbols (null = all), $3 asset: the session's members if it was loaded before;
-- those carried over from an older session are not replaced by loading it.
SELECT count(*) FROM {table}
WHERE daterange(valid_from, valid_to) @> $1::date
  AND ($2::text[] IS NULL OR symbol = ANY ($2::text[]))
  AND EXISTS (
      SELECT FROM ingest_ledger
      WHERE asset = $3::text AND session = $1::date AND outcome = 'committed'
  )
