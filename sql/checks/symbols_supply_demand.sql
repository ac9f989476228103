-- $1 session
SELECT symbol FROM supply_demand WHERE date = $1::date
