-- $1 asset, $2 session: the newest row there is of it, 0 without any.
SELECT coalesce(max(id), 0) FROM quarantine WHERE asset = $1::text AND session = $2::date
