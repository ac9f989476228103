-- migrate:up

-- A row that is refused again stays as it came; only why may be another reason by then.
GRANT UPDATE (reason) ON quarantine TO stockeasy_collector;
COMMENT ON COLUMN quarantine.reason IS 'why it was refused, when it was last judged';
COMMENT ON COLUMN quarantine.run_id IS 'Dagster run that refused it first';

-- migrate:down
COMMENT ON COLUMN quarantine.run_id IS NULL;
COMMENT ON COLUMN quarantine.reason IS NULL;
REVOKE UPDATE (reason) ON quarantine FROM stockeasy_collector;
