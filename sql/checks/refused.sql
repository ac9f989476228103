-- $1 asset, $2 session: the rows that its committed loads refused, by reason, with up to 20 examples.
WITH refused AS MATERIALIZED (
    SELECT quarantine.reason, quarantine.row, quarantine.id
    FROM quarantine
    WHERE quarantine.asset = $1::text AND quarantine.session = $2::date
      AND EXISTS (
          SELECT FROM ingest_ledger
          WHERE ingest_ledger.asset = $1::text AND ingest_ledger.session = $2::date
            AND ingest_ledger.run_id = quarantine.run_id AND ingest_ledger.outcome = 'committed'
      )
),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY reason ORDER BY id) AS number FROM refused
)
SELECT reason, count(*) AS rows,
       (jsonb_agg(row ORDER BY number) FILTER (WHERE number <= 20))::text AS examples
FROM numbered
GROUP BY reason
