-- $1 chunk
CALL convert_to_columnstore($1::regclass)
