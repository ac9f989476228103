-- $1 session, $2 symbols (null = all)
DELETE FROM etf_constituents
WHERE date = $1::date AND ($2::text[] IS NULL OR symbol = ANY ($2::text[]))
