-- $1 session, $2 symbols (null = all). All venues: a venue may open before KRX and close after it.
DELETE FROM stock_prices
WHERE time >= ($1::date)::timestamp AT TIME ZONE 'Asia/Seoul'
  AND time < ($1::date + 1)::timestamp AT TIME ZONE 'Asia/Seoul'
  AND ($2::text[] IS NULL OR symbol = ANY ($2::text[]))
