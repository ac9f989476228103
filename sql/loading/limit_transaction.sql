-- $1 lock_timeout, $2 statement_timeout: waiting for another load of the session, or for a server
-- that no longer answers, ends.
SELECT set_config('lock_timeout', $1::text, true), set_config('statement_timeout', $2::text, true)
