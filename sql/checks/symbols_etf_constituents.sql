-- $1 session
SELECT DISTINCT symbol FROM etf_constituents WHERE date = $1::date
