-- A row is a session that waits for a heavyweight lock.
select
    l.pid,
    pg_blocking_pids(l.pid) as blocked_by,
    l.locktype,
    l.mode,
    l.database::int8 as database_oid,
    l.relation::int8 as relation_oid,
    case when l.database = d.oid then n.nspname || '.' || c.relname end as relation,
    l.waitstart as wait_start
from pg_locks l
join pg_database d on d.datname = current_database()
left join pg_class c on c.oid = l.relation and l.database = d.oid
left join pg_namespace n on n.oid = c.relnamespace
where not l.granted
