-- $1 session: what each rule found among the session's rows, with up to 20 examples.
WITH judged AS MATERIALIZED (
    -- As numeric: four amounts may be more than a bigint. A null sum is a type not observed.
    SELECT *, institution_amount::numeric + foreign_amount + individual_amount
                  + other_corporation_amount AS sum
    FROM supply_demand
    WHERE date = $1::date
),
by_rule AS (
    SELECT 'investor_sum' AS rule, count(sum) AS checked,
           array_agg(symbol) FILTER (WHERE sum <> 0) AS broken_by
    FROM judged
    UNION ALL
    SELECT 'estimated_flows', count(*), array_agg(symbol) FILTER (WHERE estimated) FROM judged
)
SELECT rule, checked, coalesce(cardinality(broken_by), 0)::bigint AS found,
       coalesce(examples, '[]')::text AS examples
FROM by_rule
CROSS JOIN LATERAL (
    SELECT jsonb_agg(
        jsonb_build_object(
            'symbol', symbol, 'institution', institution_amount, 'foreign', foreign_amount,
            'individual', individual_amount, 'other_corporation', other_corporation_amount
        ) ORDER BY symbol COLLATE "C"
    ) AS examples
    FROM judged
    WHERE symbol = ANY (ARRAY(
        SELECT symbol FROM unnest(broken_by) AS symbol ORDER BY symbol COLLATE "C" LIMIT 20
    ))
) AS shown
UNION ALL
SELECT 'symbols', count(*), count(*), coalesce(jsonb_agg(symbol), '[]')::text
FROM judged
