-- $1 what the aggregate would be made from: sessions it has that cannot be made again, because fewer
-- rows are there than it was made of.
SELECT kept.session
FROM (SELECT DISTINCT (bucket AT TIME ZONE 'Asia/Seoul')::date AS session FROM {name}) AS kept
LEFT JOIN (
    SELECT ({source_time} AT TIME ZONE 'Asia/Seoul')::date AS session, count(*) AS rows
    FROM {source}
    GROUP BY 1
) AS there USING (session)
LEFT JOIN (
    SELECT session, rows FROM loaded_sessions WHERE $1::text = 'stock_prices' AND asset = 'minute_bars'
    UNION ALL
    SELECT session, rows FROM aggregate_refreshes WHERE aggregate = $1::text
) AS known USING (session)
WHERE coalesce(there.rows, 0) < coalesce(known.rows, 1)
ORDER BY kept.session
