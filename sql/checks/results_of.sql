-- $1 asset, $2 session
SELECT rule, severity, passed, ledger_id, checked, found, details::text AS details
FROM check_results
WHERE asset = $1::text AND session = $2::date
ORDER BY rule
