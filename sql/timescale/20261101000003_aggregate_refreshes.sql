-- migrate:up

-- One row per aggregate and session: what its newest refresh saw. The aggregates themselves are no
-- migration: what they are made of depends on the server's edition (resources/deployment.py).
CREATE TABLE aggregate_refreshes (
    aggregate text NOT NULL,
    session date NOT NULL,
    ledger_id bigint NOT NULL,
    run_id text NOT NULL,
    rows bigint NOT NULL,
    refreshed_at timestamptz NOT NULL,
    PRIMARY KEY (aggregate, session)
);
COMMENT ON TABLE aggregate_refreshes IS 'The newest refresh of each session of each aggregate';
COMMENT ON COLUMN aggregate_refreshes.session IS 'KRX session date, Asia/Seoul';
COMMENT ON COLUMN aggregate_refreshes.ledger_id IS
    'ingest_ledger.id of the newest committed load of minute_bars that it covers';
COMMENT ON COLUMN aggregate_refreshes.run_id IS 'Dagster run';
COMMENT ON COLUMN aggregate_refreshes.rows IS 'rows of the session in the aggregate';
COMMENT ON COLUMN aggregate_refreshes.refreshed_at IS 'when the refresh began to read';

-- How many rows the ledger says a session has: those of its newest load of all symbols, and what
-- later loads of some symbols added to them.
CREATE VIEW loaded_sessions AS
SELECT asset,
       session,
       max(id) AS ledger_id,
       coalesce(sum(rows_loaded) FILTER (WHERE id = whole), 0)::bigint
           + coalesce(sum(rows_loaded - rows_replaced) FILTER (WHERE id > whole), 0)::bigint AS rows
FROM (
    SELECT asset, session, id, rows_loaded, rows_replaced,
           coalesce(max(id) FILTER (WHERE symbols IS NULL) OVER (PARTITION BY asset, session), 0)
               AS whole
    FROM ingest_ledger
    WHERE outcome = 'committed'
) AS committed
GROUP BY asset, session;
COMMENT ON VIEW loaded_sessions IS
    'Sessions with a committed load: the newest one, and the rows the table has after it';

GRANT SELECT ON aggregate_refreshes, loaded_sessions TO collector_user, collector_reader;

-- migrate:down

-- The aggregates stand on the tables that older migrations make.
DO $$
DECLARE
    aggregate record;
BEGIN
    FOR aggregate IN
        SELECT relname, relkind FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
          AND relname IN ('daily_candles', 'candles_5m', 'volume_profile')
        -- daily_candles before candles_5m, which it reads.
        ORDER BY relname DESC
    LOOP
        EXECUTE format(
            'DROP %s %I',
            CASE aggregate.relkind WHEN 'v' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
            aggregate.relname
        );
    END LOOP;
END
$$;
DROP VIEW loaded_sessions;
DROP TABLE aggregate_refreshes;
