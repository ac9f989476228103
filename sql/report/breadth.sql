-- $1 session, $2 the session before: symbols by where they closed against the session before.
SELECT count(*) FILTER (WHERE NOT halted AND bar.close > base.close) AS advancing,
       count(*) FILTER (WHERE NOT halted AND bar.close < base.close) AS declining,
       count(*) FILTER (WHERE NOT halted AND bar.close = base.close) AS unchanged,
       count(*) FILTER (WHERE halted) AS halted,
       count(*) FILTER (WHERE NOT halted AND base.close IS NULL) AS without_base
FROM (
    SELECT symbol, close, volume = 0 AND open = 0 AS halted FROM daily_bars WHERE date = $1::date
) AS bar
LEFT JOIN daily_bars AS base ON base.symbol = bar.symbol AND base.date = $2::date
