-- A row is a table by the name that a statement uses: its kind, and the size of all of its partitions.
select
    c.oid::int8 as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    greatest((
        select sum(p.relpages) from pg_catalog.pg_partition_tree(c.oid) t
        join pg_catalog.pg_class p on p.oid = t.relid
        where t.isleaf
    ), c.relpages, 1)::float8 as pages,
    greatest((
        select sum(p.reltuples) from pg_catalog.pg_partition_tree(c.oid) t
        join pg_catalog.pg_class p on p.oid = t.relid
        where t.isleaf
    ), c.reltuples, 1)::float8 as tuples
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = pg_catalog.to_regclass(%(name)s)
