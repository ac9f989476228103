-- migrate:up

-- Sessions that retention dropped are in the ledger as well: what is not there any more was not
-- lost, and a gap has a name.
ALTER TABLE ingest_ledger
    DROP CONSTRAINT ingest_ledger_outcome_check,
    DROP CONSTRAINT ingest_ledger_check,
    DROP CONSTRAINT ingest_ledger_check1,
    ADD CONSTRAINT ingest_ledger_outcome_check
        CHECK (outcome IN ('committed', 'refused', 'failed', 'dropped')),
    ADD CONSTRAINT ingest_ledger_committed_at_check
        CHECK ((outcome IN ('committed', 'dropped')) = (committed_at IS NOT NULL)),
    ADD CONSTRAINT ingest_ledger_error_check
        CHECK ((outcome IN ('committed', 'dropped')) = (error IS NULL));
COMMENT ON COLUMN ingest_ledger.outcome IS
    'committed; refused: the data or the contract forbade it; failed: something broke; dropped: by retention';

-- migrate:down
DELETE FROM ingest_ledger WHERE outcome = 'dropped';
ALTER TABLE ingest_ledger
    DROP CONSTRAINT ingest_ledger_outcome_check,
    DROP CONSTRAINT ingest_ledger_committed_at_check,
    DROP CONSTRAINT ingest_ledger_error_check,
    ADD CONSTRAINT ingest_ledger_outcome_check
        CHECK (outcome IN ('committed', 'refused', 'failed')),
    ADD CONSTRAINT ingest_ledger_check
        CHECK ((outcome = 'committed') = (committed_at IS NOT NULL)),
    ADD CONSTRAINT ingest_ledger_check1
        CHECK ((outcome = 'committed') = (error IS NULL));
COMMENT ON COLUMN ingest_ledger.outcome IS
    'committed; refused: the data or the contract forbade it; failed: something broke';
