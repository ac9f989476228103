-- $1 asset: the loads that were checked, when, and what was lacking then as JSON. A comparison
-- with another table (a result with 'against') is no check of the load.
SELECT session, ledger_id, min(at)::text,
       coalesce(
           jsonb_agg(DISTINCT lacking.one) FILTER (WHERE lacking.one IS NOT NULL), '[]'
       )::text
FROM check_results
LEFT JOIN LATERAL jsonb_array_elements(details -> 'lacking') AS lacking (one) ON true
WHERE asset = $1::text AND NOT details ? 'against'
GROUP BY session, ledger_id
