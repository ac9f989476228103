-- $1 session, $2 the session before, $3 how many each way, $4 the largest change there can be: symbols
-- that rose and fell most. A larger change is no move (a split, a symbol about to be delisted).
WITH moved AS (
    SELECT symbol, bar.open, bar.high, bar.low, bar.close, base.close AS base,
           bar.close / base.close - 1 AS change
    FROM daily_bars AS bar
    JOIN daily_bars AS base USING (symbol)
    WHERE bar.date = $1::date AND base.date = $2::date
      AND bar.volume > 0 AND bar.low > 0 AND base.close > 0
      AND abs(bar.close / base.close - 1) <= $4::float8
)
SELECT symbol, open::float8, high::float8, low::float8, close::float8, base::float8, change::float8
FROM (
    (SELECT * FROM moved WHERE change > 0 ORDER BY change DESC, symbol LIMIT $3::int)
    UNION ALL
    (SELECT * FROM moved WHERE change < 0 ORDER BY change, symbol LIMIT $3::int)
) AS movers
ORDER BY change DESC, symbol
