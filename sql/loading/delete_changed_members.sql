DELETE FROM {table} AS known USING changed WHERE known.symbol = changed.symbol
