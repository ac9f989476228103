-- Of the first events (batch) after an id (after) of some runs (runs; events without one have ''),
-- and from before a time (UTC), delete those that say nothing any more. Returns the last id looked at
-- (NULL where there was none) and how many went. What stays:
--   of each asset and partition the newest event of each kind (materialisation, observation, ...);
--   but one that announces a materialisation, or its failure, only without a newer materialisation;
--   of checks, what an execution that is still there names;
--   a run's own events, from its start to its end, and why a step failed: they go with the run.
WITH looked_at AS MATERIALIZED (
    SELECT id, dagster_event_type AS kind, asset_key, partition,
           ARRAY[
               dagster_event_type,
               CASE WHEN dagster_event_type IN (
                   'ASSET_MATERIALIZATION_PLANNED', 'ASSET_FAILED_TO_MATERIALIZE'
               ) THEN 'ASSET_MATERIALIZATION' END
           ] AS superseded_by
    FROM event_logs
    WHERE run_id = ANY (:runs)
      AND id > :after
      AND "timestamp" < :before
      AND coalesce(dagster_event_type, '') <> ALL (:of_the_run)
    ORDER BY id
    LIMIT :batch
),
pointless AS (
    SELECT id
    FROM looked_at AS event
    -- Joined, not looked up for each event: Dagster has no index for it.
    LEFT JOIN (
        SELECT DISTINCT evaluation_event_storage_id AS event_id FROM asset_check_executions
    ) AS named ON named.event_id = event.id
    WHERE CASE
        WHEN kind IN ('ASSET_CHECK_EVALUATION', 'ASSET_CHECK_EVALUATION_PLANNED')
            THEN named.event_id IS NULL
        WHEN asset_key IS NULL THEN true
        WHEN partition IS NULL THEN EXISTS (
            SELECT FROM event_logs AS newer
            WHERE newer.asset_key = event.asset_key
              AND newer.dagster_event_type = ANY (event.superseded_by)
              AND newer.partition IS NULL
              AND newer.id > event.id
        )
        ELSE EXISTS (
            SELECT FROM event_logs AS newer
            WHERE newer.asset_key = event.asset_key
              AND newer.dagster_event_type = ANY (event.superseded_by)
              AND newer.partition = event.partition
              AND newer.id > event.id
        )
    END
),
untagged AS (
    DELETE FROM asset_event_tags WHERE event_id IN (SELECT id FROM pointless)
),
gone AS (
    DELETE FROM event_logs WHERE id IN (SELECT id FROM pointless) RETURNING id
)
SELECT (SELECT max(id) FROM looked_at) AS last, (SELECT count(*) FROM gone) AS gone
