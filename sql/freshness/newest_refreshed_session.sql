-- $1 aggregate: the newest session whose refresh covers a whole and final load of minute bars.
SELECT max(refreshed.session)
FROM aggregate_refreshes AS refreshed
WHERE refreshed.aggregate = $1::text
  AND EXISTS (
      SELECT FROM ingest_ledger AS loaded
      WHERE loaded.asset = 'minute_bars' AND loaded.session = refreshed.session
        AND loaded.id <= refreshed.ledger_id
        AND loaded.outcome = 'committed' AND NOT loaded.provisional AND loaded.symbols IS NULL
  )
