-- Run by psql as a superuser, in database postgres of each server, before the server's own
-- bootstrap. Lets PgBouncer look passwords up instead of keeping a list of them.
--
-- Reads from the environment: PGBOUNCER_AUTH_PASSWORD. Safe to run again.
\set ON_ERROR_STOP on
\getenv auth_password PGBOUNCER_AUTH_PASSWORD
-- A statement must not put the password it carries into the server's log or its statistics, nor,
-- when it fails, into psql's message.
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET log_statement = 'none';
SET pg_stat_statements.track_utility = off;
\set VERBOSITY terse
SET client_min_messages = 'warning';

SELECT 'CREATE ROLE pgbouncer' WHERE NOT EXISTS (
    SELECT FROM pg_roles WHERE rolname = 'pgbouncer'
) \gexec
ALTER ROLE pgbouncer LOGIN NOINHERIT CONNECTION LIMIT 20 PASSWORD :'auth_password';

REVOKE ALL ON DATABASE postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE postgres TO pgbouncer;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

\set VERBOSITY default
CREATE SCHEMA IF NOT EXISTS pgbouncer;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;

-- PgBouncer compares no dates itself, so an expired password must not be handed to it
-- (CVE-2025-2291). Superusers and replication never log in through a pooler.
CREATE OR REPLACE FUNCTION pgbouncer.get_auth(username text)
RETURNS TABLE (username text, password text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $$
    SELECT rolname::text,
           CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END
    FROM pg_authid
    WHERE rolname = $1 AND rolcanlogin AND NOT rolsuper AND NOT rolreplication
$$;
REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO pgbouncer;
