-- $1 asset, $2 session: rows that committed loads of the session refused, and whether those loads were
-- simulated. Rows of an attempt that was refused as a whole have no neighbours in the table.
SELECT quarantine.id, quarantine.reason, quarantine.row::text, quarantine.source, load.simulated
FROM quarantine
CROSS JOIN LATERAL (
    SELECT simulated FROM ingest_ledger
    WHERE ingest_ledger.asset = quarantine.asset AND ingest_ledger.session = quarantine.session
      AND ingest_ledger.run_id = quarantine.run_id AND outcome = 'committed'
    ORDER BY ingest_ledger.id DESC
    LIMIT 1
) AS load
WHERE quarantine.asset = $1::text AND quarantine.session = $2::date
ORDER BY quarantine.id
