-- $1 start and $2 end of a chunk: the days in Seoul it holds rows of, and how many.
SELECT {day} AS day, count(*) AS rows
FROM {table}
WHERE {time} >= $1::timestamptz AND {time} < $2::timestamptz
GROUP BY 1
ORDER BY 1
