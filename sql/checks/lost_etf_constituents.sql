-- $1 asset, $2 session, $3 reasons: the keys of rows refused for them that the table lacks.
WITH refused AS MATERIALIZED (
    SELECT row ->> 'symbol' AS symbol, row ->> 'constituent' AS constituent
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date AND reason = ANY ($3::text[])
)
SELECT DISTINCT symbol || ' ' || constituent
FROM refused
WHERE NOT EXISTS (
    SELECT FROM etf_constituents AS there
    WHERE there.symbol = refused.symbol AND there.date = $2::date
      AND there.constituent = refused.constituent
)
ORDER BY 1
