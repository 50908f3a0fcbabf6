-- A row is a table, partitioned table or materialized view of users, with its size as the planner sees it.
select
    c.oid::int8 as oid,
    n.nspname as schema,
    c.relname as name,
    c.relkind::text as kind,
    greatest(c.reltuples, 0)::float8 as rows,
    c.relpages as pages,
    (select i.inhparent::int8 from pg_inherits i where i.inhrelid = c.oid limit 1) as parent,
    c.relispartition as is_partition,
    c.relpersistence = 't' as is_temporary,
    coalesce(
        (
            select t.relpages > 0 or pg_stat_get_live_tuples(t.oid) > 0
            from pg_class t
            where t.oid = c.reltoastrelid
        ),
        false
    ) as has_toast,
    exists (
        select from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal
    ) as has_triggers
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
