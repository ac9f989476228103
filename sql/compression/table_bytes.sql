-- $1 hypertable: its chunks, the compressed ones, and the bytes of these before and after.
SELECT total_chunks, number_compressed_chunks,
       coalesce(before_compression_total_bytes, 0), coalesce(after_compression_total_bytes, 0)
FROM hypertable_columnstore_stats($1::regclass)
