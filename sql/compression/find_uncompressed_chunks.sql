-- $1 chunks: those that are not compressed, or have rows beside their compressed ones (8) since a
-- session in them was loaded again.
SELECT name
FROM unnest($1::text[]) WITH ORDINALITY AS chunk (name, place)
CROSS JOIN LATERAL _timescaledb_functions.chunk_status(name::regclass) AS status
WHERE status & 1 = 0 OR status & 8 > 0
ORDER BY place
