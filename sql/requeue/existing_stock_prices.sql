-- $1 session, $2 keys as JSON: the numbers of those that the table has.
SELECT key.number
FROM jsonb_to_recordset($2::text::jsonb) AS key (
    number bigint, symbol text, venue text, time timestamptz
)
JOIN stock_prices USING (symbol, venue, time)
WHERE time >= ($1::date)::timestamp AT TIME ZONE 'Asia/Seoul'
  AND time < ($1::date + 1)::timestamp AT TIME ZONE 'Asia/Seoul'
