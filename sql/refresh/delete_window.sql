-- $1 start and $2 end of the window
DELETE FROM {name} WHERE bucket >= $1::timestamptz AND bucket < $2::timestamptz
