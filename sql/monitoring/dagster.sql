-- Dagster's event log and runs; the function, which the bootstrap makes, counts runs for who may not
-- read them.
SELECT 'event_log_bytes', ARRAY[]::text[], pg_total_relation_size(relid)::float8
FROM pg_stat_user_tables WHERE relname = 'event_logs'
UNION ALL
SELECT 'event_log_rows', ARRAY[]::text[], n_live_tup
FROM pg_stat_user_tables WHERE relname = 'event_logs'
UNION ALL
SELECT 'runs', ARRAY[lower(status)], runs FROM monitoring.runs()
