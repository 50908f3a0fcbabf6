-- A row is an index relation: a candidate by its name, or its index on a partition, parents first.
with recursive parts as (
    select w.name, c.oid, 0 as depth
    from unnest(%(names)s::text[], %(schemas)s::text[]) w (name, schema)
    join pg_namespace n on n.nspname = w.schema
    join pg_class c on c.relnamespace = n.oid and c.relname = w.name
    union all
    select name, h.inhrelid, depth + 1
    from pg_inherits h
    join parts on parts.oid = h.inhparent
)
select
    name,
    c.oid::int8 as oid,
    i.indrelid::int8 as table_oid,
    c.relkind::text as kind,
    pg_relation_filepath(c.oid) as path
from parts
join pg_class c using (oid)
join pg_index i on i.indexrelid = c.oid
order by length(name), name, depth, c.oid
