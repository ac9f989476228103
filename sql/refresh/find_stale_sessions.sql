-- $1 aggregates, $2 what each of them reads: sessions for which one of them was never refreshed, or
-- before the newest committed load of minute bars, or before what it reads was; and whether the
-- session's minute bars were dropped since (a chunk is a day in UTC, in which KRX trades), and the
-- error rules that the load fails.
SELECT loaded.session,
       loaded.ledger_id,
       array_agg(aggregate.name ORDER BY aggregate.place),
       coalesce(loaded.session::timestamp AT TIME ZONE 'UTC' < (
           SELECT min(range_start) FROM timescaledb_information.chunks
           WHERE hypertable_schema = 'public' AND hypertable_name = 'stock_prices'
       ), true),
       ARRAY(
           SELECT rule FROM check_results
           WHERE asset = 'minute_bars' AND check_results.session = loaded.session
             AND check_results.ledger_id = loaded.ledger_id
             AND severity = 'error' AND NOT passed
           ORDER BY rule
       )
FROM (
    SELECT session, max(id) AS ledger_id
    FROM ingest_ledger
    WHERE asset = 'minute_bars' AND outcome = 'committed'
    GROUP BY session
) AS loaded
CROSS JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS aggregate (name, source, place)
LEFT JOIN aggregate_refreshes AS refreshed
    ON refreshed.aggregate = aggregate.name AND refreshed.session = loaded.session
LEFT JOIN aggregate_refreshes AS source
    ON source.aggregate = aggregate.source AND source.session = loaded.session
WHERE refreshed.ledger_id IS NULL
   OR refreshed.ledger_id < loaded.ledger_id
   OR refreshed.refreshed_at < source.refreshed_at
GROUP BY loaded.session, loaded.ledger_id
ORDER BY loaded.session
