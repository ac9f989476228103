-- $1 asset, $2 session, $3 symbols (null = all)
DELETE FROM quarantine
WHERE asset = $1::text AND session = $2::date
  AND ($3::text[] IS NULL OR row ->> 'symbol' = ANY ($3::text[]))
