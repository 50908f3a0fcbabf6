-- A row is how full the shared lock table is.
select
    count(*) filter (where not fastpath)::int as entries,
    count(*) filter (where fastpath)::int as fastpath_entries,
    current_setting('max_locks_per_transaction')::int as max_locks_per_transaction,
    current_setting('max_connections')::int as max_connections,
    current_setting('max_prepared_transactions')::int as max_prepared_transactions
from pg_locks
