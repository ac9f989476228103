DELETE FROM symbols USING changed WHERE symbols.symbol = changed.symbol
