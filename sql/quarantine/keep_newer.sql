-- $1 asset, $2 session, $3 newest row before: rows that were there already are now the newer load's.
-- (Of named symbols: what was refused for its symbol is not found by it.)
DELETE FROM quarantine USING (
    SELECT id, bool_or(id > $3::bigint) OVER (PARTITION BY source, row) AS came_again
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date
) AS known
WHERE quarantine.id = known.id AND known.came_again AND known.id <= $3::bigint
