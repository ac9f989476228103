-- $1 session
SELECT symbol, volume > 0 AS traded FROM daily_bars WHERE date = $1::date
