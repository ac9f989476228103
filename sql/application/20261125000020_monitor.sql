-- migrate:up

-- Who measures (role stockeasy_monitor, made by the bootstrap) sees how old the newest load is.
GRANT SELECT ON ingest_ledger TO stockeasy_monitor;

-- migrate:down
REVOKE SELECT ON ingest_ledger FROM stockeasy_monitor;
