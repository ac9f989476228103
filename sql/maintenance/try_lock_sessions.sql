-- $1 table, $2 first and $3 last day: the locks that loads of these sessions take, or false where one
-- is under way. Held until the transaction ends.
SELECT coalesce(
    bool_and(pg_try_advisory_xact_lock(hashtext($1::text), day::date - date '2000-01-01')), true
)
FROM generate_series($2::date, $3::date, interval '1 day') AS day
