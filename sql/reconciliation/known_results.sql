-- $1 rules: the loads of both sides that each result is about.
SELECT asset, rule, session, ledger_id, details ->> 'against'
FROM check_results
WHERE rule = ANY ($1::text[]) AND details ? 'against'
