-- What rules found wrong; it counts if ledger_id is that of the newest commit. Of members and bars it
-- says which of the two is missing.
SELECT asset, session, rule, severity, ledger_id, found,
       (details -> 'members_without_bar')::bigint AS members_without_bar,
       (details -> 'bars_without_member')::bigint AS bars_without_member
FROM check_results
WHERE NOT passed
