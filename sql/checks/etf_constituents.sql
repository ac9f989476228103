-- $1 session: what each rule found among the session's rows, with what it found.
SELECT 'weight_sum' AS rule,
       count(sum) AS checked,
       count(*) FILTER (WHERE off) AS found,
       coalesce(
           jsonb_agg(jsonb_build_object('symbol', symbol, 'sum', sum) ORDER BY symbol)
               FILTER (WHERE off AND place <= 10), '[]'
       )::text AS examples
FROM (
    SELECT *, abs(sum - 100) > 0.5 AS off,
           row_number() OVER (PARTITION BY abs(sum - 100) > 0.5 ORDER BY symbol) AS place
    FROM (
        -- Null where a weight was not given.
        SELECT symbol, CASE WHEN bool_and(weight IS NOT NULL) THEN sum(weight) END AS sum
        FROM etf_constituents WHERE date = $1::date GROUP BY symbol
    ) AS etfs
) AS sums
