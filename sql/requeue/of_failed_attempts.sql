-- $1 asset, $2 session: rows whose run committed nothing of the session, by reason.
SELECT reason, count(*) FROM quarantine
WHERE asset = $1::text AND session = $2::date
  AND NOT EXISTS (
      SELECT FROM ingest_ledger
      WHERE ingest_ledger.asset = quarantine.asset AND ingest_ledger.session = quarantine.session
        AND ingest_ledger.run_id = quarantine.run_id AND outcome = 'committed'
  )
GROUP BY reason
