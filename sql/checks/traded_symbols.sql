-- $1 session: symbols whose daily bar has a volume.
SELECT symbol FROM daily_bars WHERE date = $1::date AND volume > 0
