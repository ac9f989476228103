-- Executions of checks from before a time (UTC), at most so many (batch), that a newer evaluation of the
-- same check, asset and partition took the place of. One that never came to an evaluation takes no
-- place; the newest of all, evaluated or not, stays.
WITH newest AS (
    SELECT asset_key, check_name, coalesce(partition, '') AS partition, max(id) AS id
    FROM asset_check_executions
    WHERE execution_status IN ('SUCCEEDED', 'FAILED')
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
      AND coalesce(runs.status, 'SUCCESS') IN ('SUCCESS', 'FAILURE', 'CANCELED')
    LIMIT :batch
)
DELETE FROM asset_check_executions USING superseded
WHERE asset_check_executions.id = superseded.id
