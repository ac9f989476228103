-- $1 asset: of each load that was checked, every rule that does not hold, with its severity and how
-- many rows or symbols break it.
SELECT session, ledger_id, rule, severity, found, checked
FROM check_results
WHERE asset = $1::text AND NOT passed
ORDER BY session, severity, rule
