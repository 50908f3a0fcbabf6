-- A row says whether a session holds or awaits an exclusive lock on one of the tables.
select exists (
    select
    from pg_locks l
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
        and l.relation = any (%(oids)s::oid[])
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
) as is_locked
