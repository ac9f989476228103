-- $1 rows of the quarantine
DELETE FROM quarantine WHERE id = ANY ($1::bigint[])
