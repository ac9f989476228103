-- $1 aggregate, $2 start and $3 end of the window. By force: that the session is stale was decided
-- from the ledger, not from TimescaleDB's own log of changes.
CALL refresh_continuous_aggregate($1::regclass, $2::timestamptz, $3::timestamptz, force => true)
