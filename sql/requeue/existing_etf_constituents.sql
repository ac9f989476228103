-- $1 session, $2 keys as JSON: the numbers of those that the table has.
SELECT key.number
FROM jsonb_to_recordset($2::text::jsonb) AS key (number bigint, symbol text, constituent text)
JOIN etf_constituents USING (symbol, constituent)
WHERE etf_constituents.date = $1::date
