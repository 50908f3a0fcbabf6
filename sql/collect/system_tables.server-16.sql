-- A row is a system catalog, or a temporary table of any session of this database.
select
    c.oid::int8 as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relisshared as is_shared,
    c.relpersistence = 't' as is_temporary,
    case when c.relpersistence = 't' then pg_stat_get_backend_pid(substring(n.nspname from '\d+$')::int) end as pid,
    coalesce(o.rolname::text, c.relowner::text) as owner,
    c.relpages as pages,
    case when c.reltuples between 0 and 1e15 then c.reltuples else -1 end::float8 as rows,
    age(c.relfrozenxid)::int8 as xid_age_xids,
    mxid_age(c.relminmxid)::int8 as mxid_age,
    pg_stat_get_live_tuples(c.oid) as n_live_tup,
    pg_stat_get_dead_tuples(c.oid) as n_dead_tup,
    greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) as last_vacuum
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_roles o on o.oid = c.relowner
where c.relkind in ('r', 't')
    and c.relfrozenxid <> '0'
    and c.relminmxid <> '0'
    and (c.oid < 16384 or c.relpersistence = 't')
order by age(c.relfrozenxid) desc, c.oid
limit @max_relations@
