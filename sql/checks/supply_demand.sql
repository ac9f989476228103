-- $1 session: what each rule found among the session's rows, with up to 20 examples.
WITH judged AS (
    SELECT symbol, rule, judged, judged AND broken AS broken,
           jsonb_build_object(
               'symbol', symbol, 'institution', institution_amount, 'foreign', foreign_amount,
               'individual', individual_amount, 'other_corporation', other_corporation_amount
           ) AS example
    FROM supply_demand
    CROSS JOIN LATERAL (VALUES
        -- As numeric: four amounts may be more than a bigint. A null sum is a type not observed.
        ('investor_sum',
         (institution_amount::numeric + foreign_amount + individual_amount
             + other_corporation_amount) IS NOT NULL,
         institution_amount::numeric + foreign_amount + individual_amount
             + other_corporation_amount <> 0),
        ('estimated_flows', true, estimated)
    ) AS rule (rule, judged, broken)
    WHERE date = $1::date
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY rule, broken ORDER BY symbol COLLATE "C") AS number
    FROM judged
)
SELECT rule,
       count(*) FILTER (WHERE judged) AS checked,
       count(*) FILTER (WHERE broken) AS found,
       coalesce(
           jsonb_agg(example ORDER BY number) FILTER (WHERE broken AND number <= 20), '[]'
       )::text AS examples
FROM numbered
GROUP BY rule
UNION ALL
SELECT 'symbols', count(*), count(*), coalesce(jsonb_agg(symbol), '[]')::text
FROM supply_demand
WHERE date = $1::date
