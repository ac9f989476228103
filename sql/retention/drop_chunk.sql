-- $1 hypertable, $2 start and $3 end of the one chunk, of the type the hypertable is divided by
SELECT drop_chunks($1::regclass, older_than => $3, newer_than => $2)
