-- $1 names: which of them there are in schema public, whose edition's kind each is (null: some other
-- relation), and its comment.
SELECT relation.relname,
       CASE
           WHEN EXISTS (
               SELECT FROM timescaledb_information.continuous_aggregates
               WHERE view_schema = 'public' AND view_name = relation.relname
           ) THEN 'Community'
           WHEN EXISTS (
               SELECT FROM timescaledb_information.hypertables
               WHERE hypertable_schema = 'public' AND hypertable_name = relation.relname
           ) THEN 'Apache'
       END,
       coalesce(obj_description(relation.oid, 'pg_class'), '')
FROM pg_class AS relation
WHERE relation.relnamespace = 'public'::regnamespace AND relation.relname = ANY ($1::text[])
