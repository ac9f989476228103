-- TimescaleDB's Apache edition: a table of the same columns, which a refresh rewrites by the session.
CREATE TABLE {name} AS
{definition}
WITH NO DATA;
ALTER TABLE {name} ADD PRIMARY KEY ({key});
SELECT create_hypertable(
    {literal}, by_range('bucket', {chunk_interval}), create_default_indexes => false
);
-- Sessions are deleted by it.
CREATE INDEX ON {name} (bucket);
COMMENT ON TABLE {name} IS {comment};
GRANT SELECT ON {name} TO collector_user, collector_reader;
