-- $1 start and $2 end of the window: limits on the bucket reach the chunks that are read.
INSERT INTO {name}
SELECT * FROM (
{definition}
) AS candles
WHERE bucket >= $1::timestamptz AND bucket < $2::timestamptz
