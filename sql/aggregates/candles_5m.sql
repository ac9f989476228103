-- 5-minute candles of every symbol and venue, from the 1-minute bars. A bucket is named by its start;
-- the closing auction's bar (15:30) is alone in the last bucket of a KRX session.
SELECT
    time_bucket('5 minutes', time) AS bucket,
    symbol,
    venue,
    first(open, time)::numeric(12,2) AS open,
    max(high)::numeric(12,2) AS high,
    min(low)::numeric(12,2) AS low,
    last(close, time)::numeric(12,2) AS close,
    -- Sums of bigint are numeric: cast, so that both editions have the same types.
    sum(volume)::bigint AS volume,
    sum(trading_value)::bigint AS trading_value,
    count(*) AS bars
FROM stock_prices
GROUP BY time_bucket('5 minutes', time), symbol, venue
