-- Held until the transaction ends: two deployments follow each other.
SELECT pg_advisory_xact_lock(hashtextextended('aggregates', 0))
