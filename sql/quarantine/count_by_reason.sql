-- $1 asset, $2 session
SELECT reason, count(*) FROM quarantine
WHERE asset = $1::text AND session = $2::date
GROUP BY reason
