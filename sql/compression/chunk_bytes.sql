-- $1 hypertable, $2 chunk: its bytes before and after compression.
SELECT before_compression_total_bytes, after_compression_total_bytes
FROM chunk_columnstore_stats($1::regclass)
WHERE format('%I.%I', chunk_schema, chunk_name) = $2::text
