-- $1 session, $2 assets: rows in the quarantine by reason.
SELECT asset, reason, count(*) FROM quarantine
WHERE asset = ANY ($2::text[]) AND session = $1::date
GROUP BY asset, reason
