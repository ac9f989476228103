-- $1 session
SELECT market, institution_amount, foreign_amount, individual_amount, other_corporation_amount
FROM market_flows
WHERE date = $1::date
