-- Executions of checks from before a time (UTC), at most so many (batch), that a newer one of the same
-- check, asset and partition took the place of: an evaluation that of any, one that never came to an
-- evaluation only that of its like. So the newest evaluation stays, and the newest of all, which a page
-- shows as skipped or failed.
WITH newest AS (
    SELECT asset_key, check_name, coalesce(partition, '') AS partition, max(id) AS id,
           max(id) FILTER (WHERE execution_status IN ('SUCCEEDED', 'FAILED')) AS evaluated
    FROM asset_check_executions
    GROUP BY 1, 2, 3
),
superseded AS (
    SELECT execution.id
    FROM asset_check_executions AS execution
    JOIN newest
        ON newest.asset_key = execution.asset_key
       AND newest.check_name = execution.check_name
       AND newest.partition = coalesce(execution.partition, '')
       AND newest.id > execution.id
    LEFT JOIN runs ON runs.run_id = execution.run_id
    WHERE execution.evaluation_event_timestamp < :before
      AND (
          newest.evaluated > execution.id
          OR execution.execution_status NOT IN ('SUCCEEDED', 'FAILED')
      )
      AND coalesce(runs.status, 'SUCCESS') IN ('SUCCESS', 'FAILURE', 'CANCELED')
    LIMIT :batch
)
DELETE FROM asset_check_executions USING superseded
WHERE asset_check_executions.id = superseded.id
