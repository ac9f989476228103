-- The members of the session being loaded, as the source gave them.
CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS
SELECT symbol, name, market, kind, listing_date, delisting_date FROM symbols WITH NO DATA
