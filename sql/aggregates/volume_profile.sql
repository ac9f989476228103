-- What was traded when: volume and trading value per symbol, venue and 10 minutes of a session. Ten
-- minutes is the widest bucket that no phase of a trading day shares with another: NXT's pre-market
-- (08:00 - 08:50), KRX (09:00 - 15:20), its closing auction (15:30), the after-market (from 15:40).
-- time_of_day is the bucket's start in Seoul, to compare sessions by.
SELECT
    time_bucket('10 minutes', time) AS bucket,
    symbol,
    venue,
    (time_bucket('10 minutes', time) AT TIME ZONE 'Asia/Seoul')::time AS time_of_day,
    sum(volume)::bigint AS volume,
    sum(trading_value)::bigint AS trading_value,
    count(*) AS bars
FROM stock_prices
GROUP BY time_bucket('10 minutes', time), symbol, venue
