-- Waiting for another load of the session, or for a server that no longer answers, ends.
SELECT set_config('lock_timeout', '60s', true), set_config('statement_timeout', '15min', true)
