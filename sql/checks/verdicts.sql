-- $1 asset: the loads that were checked, and which error rules failed. Being compared with another
-- table (a result with 'against') is not being checked.
SELECT session, ledger_id,
       coalesce(array_agg(rule ORDER BY rule)
                    FILTER (WHERE severity = 'error' AND NOT passed), '{}')
FROM check_results
WHERE asset = $1::text AND NOT details ? 'against'
GROUP BY session, ledger_id
