-- $1 lock_timeout, $2 statement_timeout, $3 table, $4 session: how writing a session begins, in one
-- round trip. First the transaction's limits, as in limit_transaction.sql; and as a compressed session
-- is replaced whole, it may decompress any number of rows (the default stops at 100,000; a server
-- without TimescaleDB does not mind). Then the session's lock, as in lock_session.sql. OFFSET 0: the
-- limits are there before the lock is waited for.
SELECT pg_advisory_xact_lock(hashtext($3::text), $4::date - date '2000-01-01')
FROM (
    SELECT set_config('lock_timeout', $1::text, true),
           set_config('statement_timeout', $2::text, true),
           set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)
    OFFSET 0
) AS limits
