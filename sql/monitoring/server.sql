-- $1 server: what every PostgreSQL server can say of itself, to a member of pg_monitor.
WITH cache AS (
    SELECT sum(blks_hit) AS hits, sum(blks_read) AS misses, sum(deadlocks) AS deadlocks,
           sum(temp_bytes) AS temporary
    FROM pg_stat_database
), clients AS (
    SELECT coalesce(state, 'unknown') AS state, wait_event_type, xact_start
    FROM pg_stat_activity
    WHERE backend_type = 'client backend'
)
SELECT 'connections', ARRAY[$1::text, state], count(*)::float8 FROM clients GROUP BY state
UNION ALL
SELECT 'max_connections', ARRAY[$1], current_setting('max_connections')::float8
UNION ALL
SELECT 'lock_waits', ARRAY[$1], count(*) FROM clients WHERE wait_event_type = 'Lock'
UNION ALL
SELECT 'longest_transaction_seconds', ARRAY[$1],
       coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float8
FROM clients
UNION ALL
SELECT 'cache_hits_total', ARRAY[$1], hits FROM cache
UNION ALL
SELECT 'cache_misses_total', ARRAY[$1], misses FROM cache
UNION ALL
SELECT 'cache_hit_ratio', ARRAY[$1], hits / nullif(hits + misses, 0) FROM cache
UNION ALL
SELECT 'deadlocks_total', ARRAY[$1], deadlocks FROM cache
UNION ALL
SELECT 'temporary_bytes_total', ARRAY[$1], temporary FROM cache
UNION ALL
SELECT 'log_bytes', ARRAY[$1], sum(size) FROM pg_ls_waldir()
UNION ALL
SELECT 'shared_memory_bytes', ARRAY[$1], sum(allocated_size) FROM pg_shmem_allocations
UNION ALL
SELECT 'database_bytes', ARRAY[$1, current_database()::text],
       pg_database_size(current_database())
