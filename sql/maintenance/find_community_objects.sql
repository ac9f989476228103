-- $1 our aggregates, which the deploy step makes anew: what else only the Community edition can
-- read or write.
SELECT DISTINCT 'compressed chunks of ' || hypertable_name AS object
FROM timescaledb_information.chunks
WHERE is_compressed
UNION ALL
SELECT 'continuous aggregate ' || view_name
FROM timescaledb_information.continuous_aggregates
WHERE view_name <> ALL ($1::text[])
ORDER BY object
