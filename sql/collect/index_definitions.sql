-- A row is CREATE INDEX as PostgreSQL prints it, for tables on which no session holds or awaits a strong lock.
with locked as materialized (
    select l.relation
    from pg_locks l
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation is not null
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
select
    i.indexrelid::int8 as oid,
    pg_get_indexdef(i.indexrelid) as definition,
    -- obj_description() would start a query for each
    (
        select d.description from pg_description d
        where d.classoid = 'pg_class'::regclass and d.objoid = i.indexrelid and d.objsubid = 0
    ) as comment,
    (
        select d.description from pg_description d
        where d.classoid = 'pg_constraint'::regclass and d.objoid = k.oid and d.objsubid = 0
    ) as constraint_comment,
    -- only expressions have targets of their own
    case when i.indexprs is not null then array(
        select a.attnum::int from pg_attribute a
        where a.attrelid = i.indexrelid and a.attstattarget >= 0 order by a.attnum
    ) else '{}' end as statistics_columns,
    case when i.indexprs is not null then array(
        select a.attstattarget::int from pg_attribute a
        where a.attrelid = i.indexrelid and a.attstattarget >= 0 order by a.attnum
    ) else '{}' end as statistics_targets
from pg_index i
left join pg_constraint k
    on k.conrelid = i.indrelid and k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
where i.indexrelid = any ('{@oids@}'::oid[])
    -- printing opens the table, and would wait for sessions that hold or await an exclusive lock
    and i.indrelid not in (select relation from locked)
    and i.indexrelid not in (select relation from locked)
order by i.indexrelid
