-- What was traded when: volume and trading value per symbol, venue and 30 minutes of a session. Half
-- an hour is the widest bucket that no two phases of a venue's day share (an hour would put KRX's
-- closing auction with the trading before it); finer ones are in candles_5m.
-- time_of_day is the bucket's start in Seoul, to compare sessions by.
SELECT
    time_bucket('30 minutes', time) AS bucket,
    symbol,
    venue,
    (time_bucket('30 minutes', time) AT TIME ZONE 'Asia/Seoul')::time AS time_of_day,
    sum(volume)::bigint AS volume,
    sum(trading_value)::bigint AS trading_value,
    count(*) AS bars
FROM stock_prices
GROUP BY time_bucket('30 minutes', time), symbol, venue
