-- For one transaction: rather give up than have events of runs wait for us.
SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = '10min'
