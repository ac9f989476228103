-- $1 session, $2 markets: what each rule found among the session's rows, with what it found.
SELECT 'investor_sum' AS rule,
       count(sum) AS checked,
       count(*) FILTER (WHERE sum <> 0) AS found,
       coalesce(
           jsonb_agg(jsonb_build_object('market', market, 'sum', sum) ORDER BY market)
               FILTER (WHERE sum <> 0), '[]'
       )::text AS examples
FROM (
    -- As numeric: four amounts may be more than a bigint. Null where a type was not observed.
    SELECT market, institution_amount::numeric + foreign_amount + individual_amount
                       + other_corporation_amount AS sum
    FROM market_flows WHERE date = $1::date
) AS flows
UNION ALL
SELECT 'row_count', count(*), count(*) FILTER (WHERE there.market IS NULL),
       coalesce(
           jsonb_agg(jsonb_build_object('market', expected.market) ORDER BY expected.market)
               FILTER (WHERE there.market IS NULL), '[]'
       )::text
FROM unnest($2::text[]) AS expected (market)
LEFT JOIN market_flows AS there ON there.market = expected.market AND there.date = $1::date
