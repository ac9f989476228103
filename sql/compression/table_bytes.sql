-- $1 hypertable: its chunks, the compressed ones, and the bytes of these before and after. Of a
-- table that was never compressed TimescaleDB has no statistics.
SELECT (
           SELECT count(*) FROM timescaledb_information.chunks
           WHERE hypertable_schema = 'public' AND hypertable_name = $1::text
       ),
       coalesce(number_compressed_chunks, 0),
       coalesce(before_compression_total_bytes, 0), coalesce(after_compression_total_bytes, 0)
FROM (SELECT) AS one_row
LEFT JOIN hypertable_columnstore_stats($1::text::regclass) ON true
