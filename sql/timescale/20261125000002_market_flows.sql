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

-- migrate:down
DROP TABLE market_flows;
