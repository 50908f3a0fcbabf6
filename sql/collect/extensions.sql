-- A row is an extension installed here or available to install.
select
    a.name::text as name,
    e.extversion as installed_version,
    a.default_version as default_version,
    n.nspname::text as schema
from pg_available_extensions a
left join pg_extension e on e.extname = a.name
left join pg_namespace n on n.oid = e.extnamespace
union all
select e.extname::text, e.extversion, null, n.nspname::text
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where not exists (select from pg_available_extensions a where a.name = e.extname)
