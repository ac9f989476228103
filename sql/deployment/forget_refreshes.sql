-- $1 aggregate
DELETE FROM aggregate_refreshes WHERE aggregate = $1::text
