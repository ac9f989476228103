-- Run by psql as a superuser, in database postgres of the TimescaleDB server, after pgbouncer.sql:
-- makes the collector's roles, database and extension. Tables follow in sql/timescale, as
-- collector_migrator. Nothing that runs later logs in as superuser.
--
-- Reads from the environment: TIMESCALE_DB, COLLECTOR_DB_PASSWORD, COLLECTOR_MIGRATOR_PASSWORD,
-- COLLECTOR_MAINTAINER_PASSWORD, COLLECTOR_READER_PASSWORD, COLLECTOR_MONITOR_PASSWORD. Safe to run
-- again; passwords follow the environment.
\set ON_ERROR_STOP on
\getenv database TIMESCALE_DB
\getenv user_password COLLECTOR_DB_PASSWORD
\getenv migrator_password COLLECTOR_MIGRATOR_PASSWORD
\getenv maintainer_password COLLECTOR_MAINTAINER_PASSWORD
\getenv reader_password COLLECTOR_READER_PASSWORD
\getenv monitor_password COLLECTOR_MONITOR_PASSWORD
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET log_statement = 'none';
SET pg_stat_statements.track_utility = off;
\set VERBOSITY terse
SET client_min_messages = 'warning';

SELECT format('CREATE ROLE %I', role)
FROM unnest(ARRAY['collector_owner', 'collector_migrator', 'collector_user',
                  'collector_maintainer', 'collector_reader', 'collector_monitor']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

-- Owns everything, never logs in.
ALTER ROLE collector_owner NOLOGIN;
-- Migrates, as the owner, so that what it makes belongs to the owner.
ALTER ROLE collector_migrator LOGIN CONNECTION LIMIT 5 PASSWORD :'migrator_password';
GRANT collector_owner TO collector_migrator;
ALTER ROLE collector_migrator SET role = 'collector_owner';
-- Loads rows; no DDL.
ALTER ROLE collector_user LOGIN PASSWORD :'user_password';
ALTER ROLE collector_user SET statement_timeout = '15min';
ALTER ROLE collector_user SET idle_in_transaction_session_timeout = '10min';
-- The Arrow driver opens a transaction again after each COPY, and would fill the log with warnings.
ALTER ROLE collector_user SET log_min_messages = 'error';
-- Refreshes, compresses, drops old chunks: TimescaleDB asks for ownership. Where the server can say
-- so (PostgreSQL 16), it has the owner's rights but cannot become the owner. What else is kept from
-- it is at the end.
ALTER ROLE collector_maintainer LOGIN CONNECTION LIMIT 20 PASSWORD :'maintainer_password';
ALTER ROLE collector_maintainer SET idle_in_transaction_session_timeout = '10min';
SELECT format('GRANT collector_owner TO collector_maintainer %s',
              CASE WHEN current_setting('server_version_num')::int >= 160000
                   THEN 'WITH INHERIT TRUE, SET FALSE' END) \gexec
-- Reads.
ALTER ROLE collector_reader LOGIN PASSWORD :'reader_password';
ALTER ROLE collector_reader SET statement_timeout = '5min';
ALTER ROLE collector_reader SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE collector_reader SET default_transaction_read_only = on;
-- Measures: statistics, and of our tables those it counts.
ALTER ROLE collector_monitor LOGIN PASSWORD :'monitor_password';
GRANT pg_monitor TO collector_monitor;
ALTER ROLE collector_monitor SET statement_timeout = '5s';
ALTER ROLE collector_monitor SET lock_timeout = '1s';
ALTER ROLE collector_monitor SET search_path = public, monitoring;
ALTER ROLE collector_monitor SET default_transaction_read_only = on;

\set VERBOSITY default
SELECT format('CREATE DATABASE %I OWNER collector_owner', :'database') WHERE NOT EXISTS (
    SELECT FROM pg_database WHERE datname = :'database'
) \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database"
    TO collector_migrator, collector_user, collector_maintainer, collector_reader,
       collector_monitor;

\connect :"database"
SET client_min_messages = 'warning';
CREATE EXTENSION IF NOT EXISTS timescaledb;
-- For measurements alone; a server may lack it.
CREATE SCHEMA IF NOT EXISTS monitoring;
GRANT USAGE ON SCHEMA monitoring TO collector_monitor;
SELECT 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA monitoring' WHERE EXISTS (
    SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'
) \gexec
ALTER SCHEMA public OWNER TO collector_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO collector_user, collector_maintainer, collector_reader, collector_monitor;
-- A function is anybody's to run unless that is taken away; who may, each migration says.
ALTER DEFAULT PRIVILEGES FOR ROLE collector_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Ownership would let the maintainer drop, make and give away what it likes. Its work needs none of
-- that: functions drop and compress chunks and refresh aggregates, and tables become compressible by
-- ALTER TABLE ... SET. Any other DDL is refused, whatever a later version adds.
CREATE SCHEMA IF NOT EXISTS guard;
CREATE OR REPLACE FUNCTION guard.refuse_maintainer() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    IF session_user = 'collector_maintainer' AND tg_tag <> 'ALTER TABLE' THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%s is not for collector_maintainer', tg_tag),
            HINT = 'Use collector_migrator.';
    END IF;
END
$$;
DROP EVENT TRIGGER IF EXISTS refuse_maintainer;
CREATE EVENT TRIGGER refuse_maintainer ON ddl_command_start
    EXECUTE FUNCTION guard.refuse_maintainer();
