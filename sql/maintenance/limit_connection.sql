-- $1 lock_timeout, $2 statement_timeout: a lock that is held, or a server that no longer answers, is
-- not waited for for ever.
SELECT set_config('lock_timeout', $1::text, false), set_config('statement_timeout', $2::text, false)
