-- What takes the disk: databases, the write-ahead log, and the twenty largest tables of this one (a
-- hypertable with all of its chunks counts as one).
SELECT what, pg_size_pretty(bytes) AS size
FROM (
    SELECT 'database ' || datname AS what, pg_database_size(datname) AS bytes FROM pg_database
    UNION ALL
    SELECT 'write-ahead log', sum(size)::bigint FROM pg_ls_waldir()
    UNION ALL
    (
        SELECT 'table ' || coalesce(hypertable_of.name, class.oid::regclass::text),
               sum(pg_total_relation_size(class.oid))::bigint AS bytes
        FROM pg_class AS class
        LEFT JOIN LATERAL (
            SELECT parent.inhparent::regclass::text AS name
            FROM pg_inherits AS parent WHERE parent.inhrelid = class.oid
        ) AS hypertable_of ON true
        WHERE class.relkind IN ('r', 'm')
        GROUP BY 1 ORDER BY 2 DESC LIMIT 20
    )
) AS sizes
ORDER BY bytes DESC;
