-- $1 table that the aggregate reads, $2 aggregate, $3 session; held until the connection is closed
-- or pg_advisory_unlock_all. No load (or refresh) changes the session of what is read meanwhile, and
-- two refreshes of one aggregate follow each other: TimescaleDB versions differ in what they do when
-- two meet (wait, refuse, or believe that nothing is to be done).
SELECT pg_advisory_lock_shared(hashtext($1::text), $3::date - date '2000-01-01'),
       pg_advisory_lock(hashtext($2::text), $3::date - date '2000-01-01'),
       pg_advisory_lock(hashtextextended($2::text, 0))
