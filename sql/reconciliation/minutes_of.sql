-- $1 session: of KRX's minute bars, how many each symbol has and how many begin at each time in Seoul;
-- a row has either.
SELECT symbol, (time AT TIME ZONE 'Asia/Seoul')::time::text AS at, count(*) AS bars
FROM stock_prices
WHERE time >= ($1::date)::timestamp AT TIME ZONE 'Asia/Seoul'
  AND time < ($1::date + 1)::timestamp AT TIME ZONE 'Asia/Seoul'
  AND venue = 'KRX'
GROUP BY GROUPING SETS ((symbol), (time))
