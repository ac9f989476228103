-- $1 asset, $2 session, $3 reasons: the keys of rows refused for them that the table lacks.
WITH refused AS MATERIALIZED (
    SELECT row ->> 'market' AS market
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date AND reason = ANY ($3::text[])
)
SELECT DISTINCT market
FROM refused
WHERE NOT EXISTS (
    SELECT FROM market_flows AS there WHERE there.market = refused.market AND there.date = $2::date
)
ORDER BY market
