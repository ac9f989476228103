-- Delete those of some ended runs (runs) that have nothing left but their own events (of_the_run), and these
-- with them. Returns how many runs and how many events went.
WITH empty AS MATERIALIZED (
    SELECT run_id
    FROM runs
    WHERE run_id = ANY (:runs)
      AND status IN ('SUCCESS', 'FAILURE', 'CANCELED')
      AND NOT EXISTS (
          SELECT FROM event_logs AS event
          WHERE event.run_id = runs.run_id
            AND coalesce(event.dagster_event_type, '') <> ALL (:of_the_run)
      )
      AND run_id NOT IN (
          SELECT run_id FROM asset_check_executions WHERE run_id = ANY (:runs)
      )
),
forgotten AS (
    DELETE FROM event_logs WHERE run_id IN (SELECT run_id FROM empty) RETURNING id
),
gone AS (
    DELETE FROM runs WHERE run_id IN (SELECT run_id FROM empty) RETURNING id
)
SELECT (SELECT count(*) FROM gone) AS runs, (SELECT count(*) FROM forgotten) AS events
