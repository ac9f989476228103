-- $1 aggregate: the load of minute bars that each of its sessions is made of.
SELECT aggregate, session, ledger_id FROM aggregate_refreshes WHERE aggregate = $1::text
