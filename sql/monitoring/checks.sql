-- What the checks of newest loads found, by asset.
SELECT quantity, labels, value::float8
FROM (
    SELECT asset, count(*) FILTER (WHERE blocked) AS blocked, sum(failed_errors) AS errors,
           sum(failed_warnings) AS warnings
    FROM session_status
    GROUP BY asset
) AS found
CROSS JOIN LATERAL (VALUES
    ('blocked_sessions', ARRAY[asset], blocked),
    ('failed_checks', ARRAY[asset, 'error'], errors),
    ('failed_checks', ARRAY[asset, 'warning'], warnings)
) AS numbers (quantity, labels, value)
