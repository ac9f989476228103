-- $1 session, $2 least share of a bar's volume that its candle must have: candles that differ from
-- their daily bar. Off-hours and block trades are in the bar's volume alone, and in none of its
-- prices.
WITH candle AS (
    SELECT * FROM daily_candles
    WHERE bucket = ($1::date)::timestamp AT TIME ZONE 'Asia/Seoul'
), bar AS (
    SELECT * FROM daily_bars WHERE date = $1::date
), compared AS (
    SELECT candle.symbol,
           CASE
               WHEN bar.symbol IS NULL THEN 'no daily bar'
               WHEN (candle.open, candle.high, candle.low, candle.close)
                    IS DISTINCT FROM (bar.open, bar.high, bar.low, bar.close) THEN 'prices'
               WHEN candle.volume > bar.volume THEN 'more volume'
               WHEN candle.volume < $2::float8 * bar.volume THEN 'less volume'
           END AS difference,
           format('%s %s %s %s', candle.open, candle.high, candle.low, candle.close) AS candle,
           format('%s %s %s %s', bar.open, bar.high, bar.low, bar.close) AS bar,
           candle.volume AS candle_volume,
           bar.volume AS bar_volume
    FROM candle LEFT JOIN bar USING (symbol)
), example AS (
    SELECT * FROM compared WHERE difference IS NOT NULL ORDER BY symbol LIMIT 20
)
SELECT (SELECT count(*) FROM compared) AS compared,
       (SELECT count(*) FROM compared WHERE difference IS NOT NULL) AS different,
       (SELECT count(*) FROM bar
        WHERE volume > 0 AND symbol NOT IN (SELECT symbol FROM candle)) AS bars_without_candle,
       (SELECT coalesce(jsonb_agg(to_jsonb(example) ORDER BY symbol), '[]')::text
        FROM example) AS examples
