-- $1 rows a transaction may decompress, 0 = any number. A compressed session is replaced whole; the
-- default stops at 100,000 rows.
SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', $1::text, true)
