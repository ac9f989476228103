-- $1 session, $2 symbols (null = all)
DELETE FROM daily_bars
WHERE date = $1::date AND ($2::text[] IS NULL OR symbol = ANY ($2::text[]))
