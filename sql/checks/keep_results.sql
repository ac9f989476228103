-- $1 asset, $2 session, $3 results as JSON, $4 run. What is known of a later load stays.
INSERT INTO check_results AS known
    (asset, session, rule, severity, passed, ledger_id, checked, found, details, run_id, at)
SELECT $1::text, $2::date, rule, severity, passed, ledger_id, checked, found, details, $4::text,
       clock_timestamp()
FROM jsonb_to_recordset($3::text::jsonb) AS result (
    rule text, severity text, passed boolean, ledger_id bigint, checked bigint, found bigint,
    details jsonb
)
ON CONFLICT (asset, session, rule) DO UPDATE
SET severity = excluded.severity, passed = excluded.passed, ledger_id = excluded.ledger_id,
    checked = excluded.checked, found = excluded.found, details = excluded.details,
    run_id = excluded.run_id, at = excluded.at
WHERE known.ledger_id <= excluded.ledger_id
