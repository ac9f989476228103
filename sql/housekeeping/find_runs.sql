-- Runs that ended before a time (UTC), oldest first. Left out: those of a backfill that goes on, which
-- counts them, and those that an unfinished run tries again, which asks them what was done.
SELECT ended.run_id
FROM runs AS ended
WHERE ended.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
  AND coalesce(to_timestamp(ended.end_time) AT TIME ZONE 'UTC', ended.update_timestamp) < :before
  AND NOT EXISTS (
      SELECT FROM bulk_actions AS backfill
      WHERE backfill.key = ended.backfill_id
        AND backfill.status NOT IN (
            'COMPLETED', 'COMPLETED_SUCCESS', 'COMPLETED_FAILED', 'FAILED', 'CANCELED'
        )
  )
  AND NOT EXISTS (
      SELECT FROM run_tags AS tag
      JOIN runs AS again ON again.run_id = tag.run_id
      WHERE tag.key IN ('dagster/parent_run_id', 'dagster/root_run_id')
        AND tag.value = ended.run_id
        AND again.status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')
  )
ORDER BY ended.id
