-- A row is the schema of the extension hypopg, and whether it can hide existing indexes.
select
    n.nspname as schema,
    exists (
        select from pg_proc p where p.pronamespace = n.oid and p.proname = 'hypopg_hide_index'
    ) as can_hide
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'hypopg'
