-- migrate:up

CREATE TABLE market_flows (
    date date NOT NULL,
    market text NOT NULL,
    institution_amount bigint,
    foreign_amount bigint,
    individual_amount bigint,
    other_corporation_amount bigint,
    PRIMARY KEY (market, date)
);
-- Like the flows by symbol, for which a year a chunk was measured to be best.
SELECT create_hypertable(
    'market_flows', by_range('date', INTERVAL '365 days'), create_default_indexes => false
);
CREATE INDEX market_flows_date_idx ON market_flows (date);
COMMENT ON TABLE market_flows IS
    'Net buying by investor type of a market as a whole, a row per market and session';

GRANT SELECT, INSERT, UPDATE, DELETE ON market_flows TO collector_user;
GRANT SELECT ON market_flows TO collector_reader;

-- What is known of each session of each table here, in one line: for people with psql. Sessions that
-- nobody ever tried to load are not in it; the asset gaps knows the calendar.
CREATE VIEW session_status AS
SELECT known.asset,
       known.session,
       newest.committed_at,
       newest.source,
       newest.simulated,
       newest.provisional,
       loaded.rows,
       attempt.outcome AS last_outcome,
       attempt.error AS last_error,
       coalesce(failed.errors, 0) > 0 AS blocked,
       coalesce(failed.errors, 0) AS failed_errors,
       coalesce(failed.warnings, 0) AS failed_warnings,
       failed.rules AS failed_rules
FROM (
    SELECT asset, session, max(id) AS newest_id,
           max(id) FILTER (WHERE outcome = 'committed') AS ledger_id
    FROM ingest_ledger
    GROUP BY asset, session
) AS known
JOIN ingest_ledger AS attempt ON attempt.id = known.newest_id
LEFT JOIN ingest_ledger AS newest ON newest.id = known.ledger_id
LEFT JOIN loaded_sessions AS loaded
    ON loaded.asset = known.asset AND loaded.session = known.session
LEFT JOIN (
    SELECT asset, session, ledger_id,
           count(*) FILTER (WHERE severity = 'error') AS errors,
           count(*) FILTER (WHERE severity = 'warning') AS warnings,
           array_agg(rule ORDER BY rule) AS rules
    FROM check_results
    WHERE NOT passed
    GROUP BY asset, session, ledger_id
) AS failed
    ON failed.asset = known.asset AND failed.session = known.session
   AND failed.ledger_id = known.ledger_id;
COMMENT ON VIEW session_status IS
    'Each session that was tried: its newest commit, its newest attempt, and what its checks found';
COMMENT ON COLUMN session_status.rows IS 'rows the loads left in the table';
COMMENT ON COLUMN session_status.blocked IS 'an error rule failed: left out of what follows';

GRANT SELECT ON session_status TO collector_user, collector_reader;

-- migrate:down
DROP VIEW session_status;
DROP TABLE market_flows;
