-- $1 asset, $2 session, $3 reasons: the keys of rows refused for them that the table lacks.
WITH refused AS MATERIALIZED (
    SELECT row ->> 'symbol' AS symbol
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date AND reason = ANY ($3::text[])
)
SELECT DISTINCT symbol
FROM refused
WHERE symbol NOT IN (SELECT symbol FROM companies_on($2::date))
ORDER BY symbol
