-- $1 session, $2 keys as JSON: the numbers of those that the table has.
SELECT key.number
FROM jsonb_to_recordset($2::text::jsonb) AS key (number bigint, symbol text)
JOIN supply_demand USING (symbol)
WHERE supply_demand.date = $1::date
