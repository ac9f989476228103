-- $1 session, $2 symbols, always null: its rows are of whole markets.
DELETE FROM market_flows WHERE date = $1::date AND $2::text[] IS NULL
