-- $1 session
SELECT symbol FROM symbols_on($1::date)
