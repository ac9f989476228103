-- $1 asset, $2 session, $3 newest row before: of rows that were there already, as often as they were,
-- the older ones stay, with the run that refused them first and the newest reason. (Sorted, not joined:
-- a million rows may be refused, and nobody can tell the planner.)
WITH numbered AS (
    SELECT id, source, row, reason, id > $3::bigint AS added,
           row_number() OVER (PARTITION BY source, row, id > $3::bigint ORDER BY id) AS number
    FROM quarantine
    WHERE asset = $1::text AND session = $2::date
),
paired AS (
    SELECT id, reason, added,
           lag(id) OVER pair AS older,
           lead(reason) OVER pair AS newest_reason
    FROM numbered
    WINDOW pair AS (PARTITION BY source, row, number ORDER BY added)
),
judged AS (
    UPDATE quarantine SET reason = paired.newest_reason
    FROM paired
    WHERE quarantine.id = paired.id AND NOT paired.added AND paired.newest_reason <> paired.reason
)
DELETE FROM quarantine USING paired
WHERE quarantine.id = paired.id AND paired.added AND paired.older IS NOT NULL
