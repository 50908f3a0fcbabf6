-- A row is an extension installed here or available to install.
select
    coalesce(a.name, e.extname)::text as name,
    e.extversion as installed_version,
    a.default_version as default_version,
    n.nspname::text as schema
from pg_available_extensions a
full join pg_extension e on e.extname = a.name
left join pg_namespace n on n.oid = e.extnamespace
