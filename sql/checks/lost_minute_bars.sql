-- $1 asset, $2 session, $3 reasons: the keys of rows refused for them that the table lacks.
WITH refused AS MATERIALIZED (
    SELECT row ->> 'symbol' AS symbol, row ->> 'venue' AS venue, row ->> 'time' AS time
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date AND reason = ANY ($3::text[])
)
SELECT DISTINCT symbol || ' ' || venue || ' ' || time
FROM refused
WHERE NOT EXISTS (
    SELECT FROM stock_prices AS there
    WHERE there.symbol = refused.symbol AND there.venue = refused.venue
      AND there.time = refused.time::timestamptz
)
ORDER BY 1
