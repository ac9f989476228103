-- $1 start and $2 end of a chunk, of its column's type: the days in Seoul it holds rows of, and how many.
SELECT {day} AS day, count(*) AS rows
FROM {table}
WHERE {time} >= $1 AND {time} < $2
GROUP BY 1
ORDER BY 1
