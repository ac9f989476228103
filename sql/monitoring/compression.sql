-- Bytes of compressed chunks; TimescaleDB's catalogue has them on every edition.
WITH sizes AS (
    SELECT hypertable.table_name::text AS name,
           sum(uncompressed_heap_size + uncompressed_toast_size + uncompressed_index_size) AS before,
           sum(compressed_heap_size + compressed_toast_size + compressed_index_size) AS after
    FROM _timescaledb_catalog.compression_chunk_size AS size
    JOIN _timescaledb_catalog.chunk ON chunk.id = size.chunk_id
    JOIN _timescaledb_catalog.hypertable ON hypertable.id = chunk.hypertable_id
    WHERE hypertable.schema_name = 'public'
    GROUP BY hypertable.table_name
)
SELECT quantity, ARRAY[name], value::float8
FROM sizes
CROSS JOIN LATERAL (VALUES
    ('before_compression_bytes', before), ('after_compression_bytes', after),
    ('compression_ratio', before / nullif(after, 0))
) AS numbers (quantity, value)
WHERE value IS NOT NULL
