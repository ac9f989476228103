-- migrate:up

-- One row per attempted load, written in the transaction that loads (a refused or failed attempt
-- in one of its own). Never updated, never deleted.
CREATE TABLE ingest_ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL,
    asset text NOT NULL,
    session date NOT NULL,
    source text NOT NULL,
    simulated boolean NOT NULL,
    provisional boolean NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('committed', 'refused', 'failed')),
    symbols text[],
    rows_loaded bigint NOT NULL,
    rows_replaced bigint NOT NULL,
    rows_quarantined bigint NOT NULL,
    checksum bigint,
    error text,
    started_at timestamptz NOT NULL,
    committed_at timestamptz,
    CHECK ((outcome = 'committed') = (committed_at IS NOT NULL)),
    CHECK ((outcome = 'committed') = (error IS NULL))
);
CREATE INDEX ingest_ledger_asset_session_idx ON ingest_ledger (asset, session, id);

COMMENT ON TABLE ingest_ledger IS 'One row per attempted load of a session';
COMMENT ON COLUMN ingest_ledger.run_id IS 'Dagster run';
COMMENT ON COLUMN ingest_ledger.session IS 'KRX session date, Asia/Seoul';
COMMENT ON COLUMN ingest_ledger.simulated IS 'rows were invented by a simulation';
COMMENT ON COLUMN ingest_ledger.provisional IS 'loaded before the session was final';
COMMENT ON COLUMN ingest_ledger.outcome IS
    'committed; refused: the data or the contract forbade it; failed: something broke';
COMMENT ON COLUMN ingest_ledger.symbols IS 'symbols the run was limited to; null = all';
COMMENT ON COLUMN ingest_ledger.rows_replaced IS 'rows of the window that the load took away';
COMMENT ON COLUMN ingest_ledger.checksum IS
    'of the rows loaded, whatever their order; the same rows give the same number';
COMMENT ON COLUMN ingest_ledger.error IS 'why it did not commit';

-- One row per refused row. A committed load replaces its session's rows.
CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset text NOT NULL,
    session date NOT NULL,
    source text NOT NULL,
    run_id text NOT NULL,
    reason text NOT NULL,
    row jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX quarantine_asset_session_idx ON quarantine (asset, session);

COMMENT ON TABLE quarantine IS 'Rows that validation refused, as the source gave them';

GRANT SELECT, INSERT ON ingest_ledger TO collector_user;
GRANT SELECT, INSERT, DELETE ON quarantine TO collector_user;
GRANT SELECT ON ingest_ledger, quarantine TO collector_reader;

-- migrate:down
DROP TABLE quarantine;
DROP TABLE ingest_ledger;
