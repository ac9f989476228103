-- Who waits for a lock, and who holds it; the one that waits for nobody itself is at the root of it.
SELECT waiter.pid AS waits, waiter.usename AS "user",
       date_trunc('second', clock_timestamp() - waiter.query_start) AS since,
       left(regexp_replace(waiter.query, '\s+', ' ', 'g'), 60) AS statement,
       holder.pid AS held_by, holder.usename AS holder,
       holder.state || CASE WHEN holder.wait_event_type = 'Lock' THEN ', waits too' ELSE '' END AS state,
       date_trunc('second', clock_timestamp() - holder.xact_start) AS transaction_age,
       left(regexp_replace(holder.query, '\s+', ' ', 'g'), 60) AS last_statement
FROM pg_stat_activity AS waiter
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiter.pid)) AS blocking (pid)
JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
WHERE waiter.wait_event_type = 'Lock'
ORDER BY waiter.query_start;
