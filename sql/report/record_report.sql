-- $1 session, $2 standing, $3 why, $4 inputs, $5 run, $6 when it was looked at
INSERT INTO session_reports (session, standing, why, inputs, run_id, at)
VALUES ($1::date, $2::text, $3::text, $4::text, $5::text, $6::text::timestamptz)
ON CONFLICT (session) DO UPDATE
SET standing = excluded.standing, why = excluded.why, inputs = excluded.inputs,
    run_id = excluded.run_id, at = excluded.at
WHERE excluded.at >= session_reports.at
