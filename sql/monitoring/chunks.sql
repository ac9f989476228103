-- Chunks and bytes of every hypertable of ours, under the aggregate's name where it holds one.
WITH tables AS (
    SELECT hypertable.id,
           format('%I.%I', hypertable.schema_name, hypertable.table_name)::regclass AS relation,
           coalesce(aggregate.user_view_name, hypertable.table_name)::text AS name
    FROM _timescaledb_catalog.hypertable AS hypertable
    LEFT JOIN _timescaledb_catalog.continuous_agg AS aggregate
        ON aggregate.mat_hypertable_id = hypertable.id
    WHERE hypertable.schema_name = 'public' OR aggregate.user_view_name IS NOT NULL
), counted AS (
    -- A compressed chunk's status has 1, and 8 with rows beside the compressed ones. By functions: the
    -- catalogue's columns differ from version to version.
    SELECT id, count(*) AS chunks, count(*) FILTER (WHERE status & 1 > 0) AS compressed,
           count(*) FILTER (WHERE status & 9 = 9) AS partly
    FROM tables
    CROSS JOIN LATERAL show_chunks(relation) AS chunk
    CROSS JOIN LATERAL _timescaledb_functions.chunk_status(chunk) AS status
    GROUP BY id
), measured AS (
    SELECT name, coalesce(chunks, 0) AS chunks, coalesce(compressed, 0) AS compressed,
           coalesce(partly, 0) AS partly, size.*
    FROM tables
    LEFT JOIN counted ON counted.id = tables.id
    CROSS JOIN LATERAL hypertable_detailed_size(relation) AS size
)
SELECT quantity, ARRAY[name], value::float8
FROM measured
CROSS JOIN LATERAL (VALUES
    ('chunks', chunks), ('compressed_chunks', compressed), ('partly_compressed_chunks', partly),
    ('table_bytes', table_bytes), ('index_bytes', index_bytes), ('toast_bytes', toast_bytes)
) AS numbers (quantity, value)
WHERE value IS NOT NULL
