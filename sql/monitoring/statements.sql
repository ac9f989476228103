-- $1 server: the ten statements that took most time, and the ten slowest by mean, of this database.
-- What carries a password is never shown.
WITH known AS (
    SELECT left(regexp_replace(query, '\s+', ' ', 'g'), 100) || ' #' || to_hex(queryid) AS statement,
           sum(calls) AS calls, sum(total_exec_time) / 1000 AS seconds
    FROM pg_stat_statements(true)
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND queryid IS NOT NULL AND query !~* 'password|secret' AND toplevel
    GROUP BY statement
), ranked AS (
    SELECT statement, calls, seconds, rank() OVER (ORDER BY seconds DESC, statement) AS by_total,
           rank() OVER (ORDER BY seconds / calls DESC, statement) AS by_mean
    FROM known
    WHERE calls > 0
)
SELECT quantity, ARRAY[$1::text, statement], value::float8
FROM ranked
CROSS JOIN LATERAL (VALUES
    ('statement_seconds_total', seconds), ('statement_calls_total', calls),
    ('statement_mean_seconds', seconds / calls)
) AS numbers (quantity, value)
WHERE by_total <= 10 OR by_mean <= 10
ORDER BY by_total
