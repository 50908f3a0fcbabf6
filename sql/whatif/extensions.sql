-- A row is an extension and its schema; those required by others come first.
select e.extname::text as name, n.nspname::text as schema
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where e.extname <> 'plpgsql'
order by e.oid
