-- $1 asset, $2 session, $3 source, $4 run, $5 reasons, $6 rows as JSON
INSERT INTO quarantine (asset, session, source, run_id, reason, row)
SELECT $1::text, $2::date, $3::text, $4::text, refused.reason, refused.row::jsonb
FROM unnest($5::text[], $6::text[]) AS refused (reason, row)
