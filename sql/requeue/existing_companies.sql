-- $1 session, $2 keys as JSON: the numbers of those that are companies of the session.
SELECT key.number
FROM jsonb_to_recordset($2::text::jsonb) AS key (number bigint, symbol text)
JOIN companies_on($1::date) AS company USING (symbol)
