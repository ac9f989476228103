INSERT INTO {table} (symbol, valid_from, valid_to, {columns})
SELECT symbol, valid_from, valid_to, {columns} FROM rebuilt
