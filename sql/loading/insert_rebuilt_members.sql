INSERT INTO symbols (symbol, valid_from, valid_to, name, market, kind, listing_date, delisting_date)
SELECT symbol, valid_from, valid_to, name, market, kind, listing_date, delisting_date FROM rebuilt
