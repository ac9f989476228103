-- TimescaleDB Community: nothing is computed on reading, so that both editions give the same answer
-- at any moment, and nothing is refreshed but by us (no policies).
CREATE MATERIALIZED VIEW {name} WITH (
    timescaledb.continuous,
    timescaledb.materialized_only = true,
    timescaledb.create_group_indexes = false
) AS
{definition}
WITH NO DATA;
-- By the hypertable's own name: CREATE takes the interval only since 2.19.
SELECT set_chunk_time_interval(
    format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass,
    {chunk_interval}
)
FROM timescaledb_information.continuous_aggregates
WHERE view_schema = 'public' AND view_name = {literal};
-- One on the bucket is there already.
CREATE INDEX ON {name} ({key});
COMMENT ON VIEW {name} IS {comment};
GRANT SELECT ON {name} TO collector_user, collector_reader;
