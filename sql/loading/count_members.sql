-- $1 session, $2 symbols (null = all)
SELECT count(*) FROM symbols_on($1::date)
WHERE $2::text[] IS NULL OR symbol = ANY ($2::text[])
