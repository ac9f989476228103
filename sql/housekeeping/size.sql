-- Events, and the bytes of what is pruned, with indexes and what is stored out of line.
SELECT (SELECT count(*) FROM event_logs) AS events,
       (
           SELECT sum(pg_total_relation_size(name::regclass))::bigint
           FROM unnest(ARRAY[
               'event_logs', 'asset_event_tags', 'asset_check_executions', 'runs', 'run_tags'
           ]) AS name
       ) AS bytes
