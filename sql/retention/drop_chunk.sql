-- $1 hypertable, $2 start and $3 end of the one chunk
SELECT drop_chunks($1::regclass, older_than => $3::timestamptz, newer_than => $2::timestamptz)
