-- migrate:up

-- What each rule found in a session's newest load. A load makes what an older load was found to be
-- meaningless, so a result counts only while its ledger_id is that of the newest commit.
CREATE TABLE check_results (
    asset text NOT NULL,
    session date NOT NULL,
    rule text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('error', 'warning')),
    passed boolean NOT NULL,
    ledger_id bigint NOT NULL,
    checked bigint NOT NULL,
    found bigint NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    run_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset, session, rule)
);
COMMENT ON TABLE check_results IS 'The newest result of each rule for each session of each asset';
COMMENT ON COLUMN check_results.session IS 'KRX session date, Asia/Seoul';
COMMENT ON COLUMN check_results.severity IS
    'error: a session that fails is left out of what follows; warning: it is only said';
COMMENT ON COLUMN check_results.ledger_id IS
    'ingest_ledger.id of the load that was checked (symbols: in the application database)';
COMMENT ON COLUMN check_results.checked IS 'rows, or symbols, that the rule looked at';
COMMENT ON COLUMN check_results.found IS 'how many of them break it';
COMMENT ON COLUMN check_results.details IS 'the rule''s numbers, and examples of what it found';
COMMENT ON COLUMN check_results.run_id IS 'Dagster run';

GRANT SELECT, INSERT, UPDATE, DELETE ON check_results TO collector_user;
GRANT SELECT ON check_results TO collector_reader;

-- migrate:down
DROP TABLE check_results;
