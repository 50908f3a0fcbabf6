-- A row is a lock on a user table of this database that blocks the work of others, held or awaited.
select
    l.pid,
    l.mode,
    l.relation::int8 as relation_oid,
    n.nspname || '.' || c.relname as relation,
    l.granted as is_granted
from pg_locks l
join pg_class c on c.oid = l.relation
join pg_namespace n on n.oid = c.relnamespace
where l.locktype = 'relation'
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    and n.nspname not in ('pg_catalog', 'information_schema')
    and l.pid <> pg_backend_pid()
limit 10000
