-- Rows that come next take the room of those that went. Locks nobody out.
VACUUM (ANALYZE) event_logs, asset_event_tags, asset_check_executions, runs, run_tags
