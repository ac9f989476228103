-- $1 asset, $2 session, $3 newest row before: of rows that were there already, as often as they were,
-- the older ones stay, with the run that refused them first and the newest reason.
WITH numbered AS (
    SELECT id, source, row, reason, id > $3::bigint AS added,
           row_number() OVER (PARTITION BY source, row, id > $3::bigint ORDER BY id) AS number
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date
),
again AS (
    SELECT older.id AS older, newer.id AS newer, newer.reason
    FROM numbered AS older
    JOIN numbered AS newer USING (source, row, number)
    WHERE newer.added AND NOT older.added
),
judged AS (
    UPDATE quarantine SET reason = again.reason
    FROM again
    WHERE quarantine.id = again.older AND quarantine.reason <> again.reason
)
DELETE FROM quarantine USING again WHERE quarantine.id = again.newer
