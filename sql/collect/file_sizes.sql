-- A row is a table that was neither vacuumed nor analyzed since its counters began, with the size of its file.
with locked as materialized (
    select l.relation
    from pg_locks l
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation is not null
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
select c.oid::int8 as table_oid, pg_relation_size(c.oid) as size_bytes
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm')
    and c.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema')
    and pg_stat_get_last_vacuum_time(c.oid) is null
    and pg_stat_get_last_autovacuum_time(c.oid) is null
    and pg_stat_get_last_analyze_time(c.oid) is null
    and pg_stat_get_last_autoanalyze_time(c.oid) is null
    -- its size is read with a lock, which would wait for sessions that hold or await an exclusive one
    and c.oid not in (select relation from locked)
order by c.oid
limit @max_relations@
