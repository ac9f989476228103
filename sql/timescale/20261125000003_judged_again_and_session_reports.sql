-- migrate:up

-- A row that is refused again stays as it came; only why may be another reason by then.
GRANT UPDATE (reason) ON quarantine TO collector_user;
COMMENT ON COLUMN quarantine.reason IS 'why it was refused, when it was last judged';
COMMENT ON COLUMN quarantine.run_id IS 'Dagster run that refused it first';

-- What the newest report of each session said, and of which loads and checks.
CREATE TABLE session_reports (
    session date PRIMARY KEY,
    standing text NOT NULL CHECK (standing IN ('trusted', 'wrong', 'incomplete')),
    why text NOT NULL,
    inputs text NOT NULL,
    run_id text NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON TABLE session_reports IS 'Which sessions can be trusted, as last reported';
COMMENT ON COLUMN session_reports.session IS 'KRX session date, Asia/Seoul';
COMMENT ON COLUMN session_reports.standing IS
    'trusted: all there, checked, no error; wrong: a rule of severity error fails; incomplete: not all there';
COMMENT ON COLUMN session_reports.why IS 'which rules, or what is missing, and what to run';
COMMENT ON COLUMN session_reports.inputs IS
    'the loads and findings it speaks of: with others by now, another report is due';
COMMENT ON COLUMN session_reports.run_id IS 'Dagster run';
COMMENT ON COLUMN session_reports.at IS 'when the session was looked at';

GRANT SELECT, INSERT, UPDATE ON session_reports TO collector_user;
GRANT SELECT ON session_reports TO collector_reader;

-- migrate:down
DROP TABLE session_reports;
COMMENT ON COLUMN quarantine.run_id IS NULL;
COMMENT ON COLUMN quarantine.reason IS NULL;
REVOKE UPDATE (reason) ON quarantine FROM collector_user;
