-- A row is an installed extension; for servers that do not show the available ones.
select
    e.extname::text as name,
    e.extversion as installed_version,
    null::text as default_version,
    n.nspname::text as schema
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
