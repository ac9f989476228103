-- migrate:up

-- Who measures (role collector_monitor, made by the bootstrap) reads what it counts.
GRANT SELECT ON ingest_ledger, check_results, session_status, aggregate_refreshes
    TO collector_monitor;

-- migrate:down
REVOKE SELECT ON ingest_ledger, check_results, session_status, aggregate_refreshes
    FROM collector_monitor;
