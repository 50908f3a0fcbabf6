-- A row is an index that a verification left behind.
select n.nspname as schema, c.relname as name
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('i', 'I') and not c.relispartition
    and pg_catalog.starts_with(c.relname, %(prefix)s)
