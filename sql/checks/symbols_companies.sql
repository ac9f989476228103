-- $1 session
SELECT symbol FROM companies_on($1::date)
