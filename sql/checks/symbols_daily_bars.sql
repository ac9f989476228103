-- $1 session
SELECT symbol FROM daily_bars WHERE date = $1::date
