-- Who is connected, in which state, and since when the longest of them has been in it.
SELECT datname AS database, usename AS "user", application_name AS application, state,
       count(*) AS connections,
       date_trunc('second', max(clock_timestamp() - state_change)) AS longest
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4
ORDER BY connections DESC, longest DESC;
