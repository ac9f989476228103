-- $1 days, $2 aggregates: days whose rows an aggregate does not have, or not as they are now.
SELECT DISTINCT day
FROM unnest($1::date[]) AS day
CROSS JOIN unnest($2::text[]) AS name
LEFT JOIN aggregate_refreshes AS refreshed
    ON refreshed.aggregate = name AND refreshed.session = day
WHERE refreshed.ledger_id IS NULL
   OR refreshed.ledger_id < (
       SELECT max(id) FROM ingest_ledger
       WHERE asset = 'minute_bars' AND session = day AND outcome = 'committed'
   )
ORDER BY day
