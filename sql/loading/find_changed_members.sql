-- $1 session, $2 symbols (null = all), $3 asset. A load speaks of the days from its session up to
-- the next session already loaded, and of no other: newer rows stay as they are. Here: the symbols
-- for which the table says anything else about those days than the source does.
CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
WITH named AS (
    SELECT symbol FROM incoming
    UNION
    SELECT symbol FROM {table}
    WHERE (valid_to IS NULL OR valid_to > $1::date)
      AND ($2::text[] IS NULL OR symbol = ANY ($2::text[]))
), span AS (
    SELECT named.symbol,
           $1::date AS span_from,
           (SELECT ledger.session
            FROM ingest_ledger AS ledger
            WHERE ledger.asset = $3::text
              AND ledger.outcome = 'committed'
              AND ledger.session > $1::date
              AND (ledger.symbols IS NULL OR named.symbol = ANY (ledger.symbols))
            ORDER BY ledger.session
            LIMIT 1) AS span_to
    FROM named
)
SELECT span.*
FROM span
LEFT JOIN incoming USING (symbol)
WHERE NOT CASE
    WHEN incoming.symbol IS NULL THEN NOT EXISTS (
        SELECT FROM {table} AS known
        WHERE known.symbol = span.symbol
          AND daterange(known.valid_from, known.valid_to) && daterange(span_from, span_to)
    )
    ELSE EXISTS (
        SELECT FROM {table} AS known
        WHERE known.symbol = span.symbol
          AND daterange(known.valid_from, known.valid_to) @> daterange(span_from, span_to)
          AND ({columns_known}) IS NOT DISTINCT FROM ({columns_incoming})
    )
END
