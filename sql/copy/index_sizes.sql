-- A row is an index that was built, or its index on a partition, and its size.
with recursive parts as (
    select c.oid
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relname = %(name)s and n.nspname = %(schema)s
    union all
    select h.inhrelid
    from pg_catalog.pg_inherits h
    join parts on parts.oid = h.inhparent
)
select n.nspname as schema, c.relname as name, pg_catalog.pg_relation_size(c.oid) as bytes
from parts
join pg_catalog.pg_class c using (oid)
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
