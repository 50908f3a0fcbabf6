-- A row is CREATE INDEX as PostgreSQL prints it, for tables that nobody has locked or wants to lock.
select i.indexrelid::int8 as oid, pg_get_indexdef(i.indexrelid) as definition
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = c.relnamespace
where t.relkind in ('r', 'p', 'm')
    and t.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
    and not exists (
        select from pg_locks l
        where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
            and l.relation in (i.indrelid, i.indexrelid)
            and l.database = (select d.oid from pg_database d where d.datname = current_database())
    )
order by c.relpages desc, i.indexrelid
limit @max_indexes@
