-- $1 rows of the quarantine, $2 what is said of each now
UPDATE quarantine SET reason = judged.reason
FROM unnest($1::bigint[], $2::text[]) AS judged (id, reason)
WHERE quarantine.id = judged.id AND quarantine.reason <> judged.reason
