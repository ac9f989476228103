-- Run by psql as a superuser, in database postgres of the application's PostgreSQL server, after
-- pgbouncer.sql: makes our roles and databases there. Tables follow in sql/application, as
-- stockeasy_migrator; Dagster makes its own in its database.
--
-- Reads from the environment: APP_DB_NAME, APP_DB_PASSWORD, APP_DB_MIGRATOR_PASSWORD,
-- APP_DB_READER_PASSWORD, APP_DB_MONITOR_PASSWORD, APP_DB_APPLICATION_PASSWORD, DAGSTER_DB_NAME,
-- DAGSTER_DB_PASSWORD. Safe to run again; passwords follow the environment.
\set ON_ERROR_STOP on
\getenv database APP_DB_NAME
\getenv collector_password APP_DB_PASSWORD
\getenv migrator_password APP_DB_MIGRATOR_PASSWORD
\getenv reader_password APP_DB_READER_PASSWORD
\getenv monitor_password APP_DB_MONITOR_PASSWORD
\getenv application_password APP_DB_APPLICATION_PASSWORD
\getenv dagster_database DAGSTER_DB_NAME
\getenv dagster_password DAGSTER_DB_PASSWORD
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET log_statement = 'none';
SET pg_stat_statements.track_utility = off;
\set VERBOSITY terse
SET client_min_messages = 'warning';

SELECT format('CREATE ROLE %I', role)
FROM unnest(ARRAY['stockeasy_owner', 'stockeasy_migrator', 'stockeasy_collector',
                  'stockeasy_reader', 'stockeasy_monitor', 'stockeasy_app', 'dagster']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

-- Owns the application's tables, never logs in.
ALTER ROLE stockeasy_owner NOLOGIN;
-- Migrates, as the owner, so that what it makes belongs to the owner.
ALTER ROLE stockeasy_migrator LOGIN CONNECTION LIMIT 5 PASSWORD :'migrator_password';
GRANT stockeasy_owner TO stockeasy_migrator;
ALTER ROLE stockeasy_migrator SET role = 'stockeasy_owner';
-- Loads rows; no DDL.
ALTER ROLE stockeasy_collector LOGIN PASSWORD :'collector_password';
ALTER ROLE stockeasy_collector SET statement_timeout = '15min';
ALTER ROLE stockeasy_collector SET idle_in_transaction_session_timeout = '10min';
-- The Arrow driver opens a transaction again after each COPY, and would fill the log with warnings.
ALTER ROLE stockeasy_collector SET log_min_messages = 'error';
-- Reads.
ALTER ROLE stockeasy_reader LOGIN PASSWORD :'reader_password';
ALTER ROLE stockeasy_reader SET statement_timeout = '5min';
ALTER ROLE stockeasy_reader SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE stockeasy_reader SET default_transaction_read_only = on;
-- Measures: statistics, and of our tables those it counts.
ALTER ROLE stockeasy_monitor LOGIN PASSWORD :'monitor_password';
GRANT pg_monitor TO stockeasy_monitor;
ALTER ROLE stockeasy_monitor SET statement_timeout = '5s';
ALTER ROLE stockeasy_monitor SET lock_timeout = '1s';
ALTER ROLE stockeasy_monitor SET search_path = public, monitoring;
ALTER ROLE stockeasy_monitor SET default_transaction_read_only = on;
-- The application: writes lists and portfolios, reads the rest. Its transactions are short.
ALTER ROLE stockeasy_app LOGIN PASSWORD :'application_password';
ALTER ROLE stockeasy_app SET statement_timeout = '30s';
ALTER ROLE stockeasy_app SET idle_in_transaction_session_timeout = '1min';
-- Dagster's metadata has a user and a database of its own: the session settings Dagster makes
-- stay with its connections when the pooler hands them on. It connects for every event, and most of
-- that is the client stretching its password 4,096 times, which a random one does not need.
SELECT 'SET scram_iterations = 100' WHERE current_setting('scram_iterations', true) IS NOT NULL \gexec
ALTER ROLE dagster LOGIN PASSWORD :'dagster_password';
SELECT 'RESET scram_iterations' WHERE current_setting('scram_iterations', true) IS NOT NULL \gexec

\set VERBOSITY default
SELECT format('CREATE DATABASE %I OWNER stockeasy_owner', :'database') WHERE NOT EXISTS (
    SELECT FROM pg_database WHERE datname = :'database'
) \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database"
    TO stockeasy_migrator, stockeasy_collector, stockeasy_reader, stockeasy_monitor, stockeasy_app;
-- A load stages a session's members in a temporary table.
GRANT TEMPORARY ON DATABASE :"database" TO stockeasy_collector;

SELECT format('CREATE DATABASE %I OWNER dagster', :'dagster_database') WHERE NOT EXISTS (
    SELECT FROM pg_database WHERE datname = :'dagster_database'
) \gexec
REVOKE ALL ON DATABASE :"dagster_database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"dagster_database" TO dagster, stockeasy_monitor;

\connect :"dagster_database"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- Who measures counts runs without reading them: their configuration is nobody else's business. The
-- table is Dagster's, and made later.
SET client_min_messages = 'warning';
CREATE SCHEMA IF NOT EXISTS monitoring;
GRANT USAGE ON SCHEMA monitoring TO dagster, stockeasy_monitor;
CREATE OR REPLACE FUNCTION monitoring.runs()
RETURNS TABLE (status text, runs bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    RETURN QUERY SELECT counted.status::text, count(*) FROM public.runs AS counted GROUP BY 1;
END
$$;
ALTER FUNCTION monitoring.runs() OWNER TO dagster;
REVOKE ALL ON FUNCTION monitoring.runs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.runs() TO stockeasy_monitor;

\connect :"database"
SET client_min_messages = 'warning';
-- Ranges of days without overlap per symbol (sql/application) need it.
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE SCHEMA IF NOT EXISTS monitoring;
GRANT USAGE ON SCHEMA monitoring TO stockeasy_monitor;
SELECT 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA monitoring' WHERE EXISTS (
    SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'
) \gexec
ALTER SCHEMA public OWNER TO stockeasy_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO stockeasy_collector, stockeasy_reader, stockeasy_monitor, stockeasy_app;
-- A function is anybody's to run unless that is taken away; who may, each migration says.
ALTER DEFAULT PRIVILEGES FOR ROLE stockeasy_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
