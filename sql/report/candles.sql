-- $1 start and $2 end of the day, $3 symbols: their 5-minute candles at KRX, by seconds of the day.
SELECT symbol, extract(epoch FROM bucket - $1::text::timestamptz)::float8,
       open::float8, high::float8, low::float8, close::float8
FROM candles_5m
WHERE bucket >= $1::text::timestamptz AND bucket < $2::text::timestamptz
  AND venue = 'KRX' AND symbol = ANY ($3::text[])
ORDER BY symbol, bucket
