-- $1 hypertable, $2 time: its chunks that lie wholly before, oldest first, with their days in Seoul;
-- a session's rows are in two chunks where they begin before 09:00 (00:00 UTC).
SELECT format('%I.%I', chunk_schema, chunk_name) AS name,
       range_start,
       range_end,
       (range_start AT TIME ZONE 'Asia/Seoul')::date AS first_day,
       ((range_end - interval '1 microsecond') AT TIME ZONE 'Asia/Seoul')::date AS last_day
FROM timescaledb_information.chunks
WHERE hypertable_schema = 'public' AND hypertable_name = $1::text
  AND range_end <= $2::timestamptz
ORDER BY range_start
