-- $1 asset: sessions whose rows in its table are more or fewer than its loads left there.
SELECT coalesce(loaded.session, there.date), coalesce(loaded.rows, 0), coalesce(there.rows, 0)
FROM (SELECT session, rows FROM loaded_sessions WHERE asset = $1::text) AS loaded
FULL JOIN (SELECT date, count(*) AS rows FROM {table} GROUP BY date) AS there
    ON there.date = loaded.session
WHERE coalesce(loaded.rows, 0) <> coalesce(there.rows, 0)
