-- $1 asset, $2 session, $3 newest row before: rows that were there already are now the newer load's.
-- (Of named symbols: what was refused for its symbol is not found by it.)
DELETE FROM quarantine AS older
WHERE asset = $1::text AND session = $2::date AND id <= $3::bigint
  AND EXISTS (
      SELECT FROM quarantine AS newer
      WHERE newer.asset = $1::text AND newer.session = $2::date AND newer.id > $3::bigint
        AND (newer.source, newer.row) = (older.source, older.row)
  )
