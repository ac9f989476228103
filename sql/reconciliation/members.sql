-- What was listed from when to when, and in which market.
SELECT symbol, valid_from, valid_to, market, kind FROM symbols
