-- A row is a view, foreign table, composite type or other relation that is not a table, index or sequence.
select
    c.oid::int8 as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    (select i.inhparent::int8 from pg_inherits i where i.inhrelid = c.oid and c.relispartition) as parent_oid
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind not in ('r', 'p', 'm', 'i', 'I', 'S', 't')
    and c.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
order by c.relkind = 'f' desc, c.oid
limit @max_relations@
