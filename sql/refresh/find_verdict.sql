-- $1 session: whether its newest load of minute bars was checked, and the error rules that it fails.
-- A comparison with another table (a result with 'against') is no check of the load. No row: it has
-- no load.
SELECT count(rule) FILTER (WHERE NOT details ? 'against') > 0,
       coalesce(
           array_agg(rule ORDER BY rule) FILTER (WHERE severity = 'error' AND NOT passed), '{}'
       )
FROM loaded_sessions
LEFT JOIN check_results USING (asset, session, ledger_id)
WHERE asset = 'minute_bars' AND session = $1::date
GROUP BY session
