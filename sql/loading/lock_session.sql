-- $1 table, $2 session. Held until the transaction ends: one writer of a session at a time.
SELECT pg_advisory_xact_lock(hashtext($1::text), $2::date - date '2000-01-01')
