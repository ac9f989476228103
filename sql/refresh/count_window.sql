-- $1 start and $2 end of the window
SELECT count(*) FROM {relation} WHERE {time} >= $1::timestamptz AND {time} < $2::timestamptz
