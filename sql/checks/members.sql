-- $1 session: its members.
SELECT symbol, market, kind, listing_date, delisting_date FROM symbols_on($1::date)
