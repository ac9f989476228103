-- What runs now, the longest first; pid is what pg_terminate_backend ends.
SELECT pid, usename AS "user", application_name AS application, wait_event_type AS waits_for,
       date_trunc('second', clock_timestamp() - query_start) AS since,
       left(regexp_replace(query, '\s+', ' ', 'g'), 80) AS statement
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()
ORDER BY query_start;
