-- $1 session
SELECT symbol, institution_amount, foreign_amount, individual_amount, other_corporation_amount,
       estimated
FROM supply_demand
WHERE date = $1::date
