-- $1 hypertable
SELECT compression_enabled FROM timescaledb_information.hypertables
WHERE hypertable_schema = 'public' AND hypertable_name = $1::text
