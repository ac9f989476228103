-- $1 asset, $2 sessions (null = all): those with rows in the quarantine.
SELECT DISTINCT session FROM quarantine
WHERE asset = $1::text AND ($2::text[] IS NULL OR session = ANY ($2::text[]::date[]))
ORDER BY session
