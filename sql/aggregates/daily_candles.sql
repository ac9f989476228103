-- A candle per symbol and day in Seoul, from the 5-minute candles, of KRX alone: a venue that trades
-- until 20:00 would put its last price where the official close belongs. UTC days would split a
-- session, whose day begins at 15:00 UTC.
SELECT
    time_bucket('1 day', bucket, 'Asia/Seoul') AS bucket,
    symbol,
    first(open, bucket)::numeric(12,2) AS open,
    max(high)::numeric(12,2) AS high,
    min(low)::numeric(12,2) AS low,
    last(close, bucket)::numeric(12,2) AS close,
    sum(volume)::bigint AS volume,
    sum(trading_value)::bigint AS trading_value,
    sum(bars)::bigint AS bars
FROM candles_5m
WHERE venue = 'KRX'
GROUP BY time_bucket('1 day', bucket, 'Asia/Seoul'), symbol
