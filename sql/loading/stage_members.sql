-- The members of the session being loaded, as the source gave them.
CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS
SELECT symbol, {columns} FROM {table} WITH NO DATA
