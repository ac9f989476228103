-- $1 table that the aggregate reads, $2 session: the newest committed load its rows are from, how
-- many rows it is known to have, and the time. No row: there is nothing to refresh from.
SELECT ledger_id, rows, clock_timestamp()
FROM loaded_sessions
WHERE $1::text = 'stock_prices' AND asset = 'minute_bars' AND session = $2::date
UNION ALL
SELECT ledger_id, rows, clock_timestamp()
FROM aggregate_refreshes
WHERE aggregate = $1::text AND session = $2::date
