-- A row is a session that waits for a heavyweight lock; a wait for a row's lock names the row's table.
with l as materialized (select * from pg_locks)
select
    l.pid,
    b.blocked_by,
    l.locktype,
    l.mode,
    coalesce(l.database, t.database)::int8 as database_oid,
    coalesce(l.relation, t.relation)::int8 as relation_oid,
    n.nspname || '.' || c.relname as relation,
    null::timestamptz as wait_start,
    coalesce((
        select array_agg(distinct x.gid order by x.gid)
        from l h
        join l own
            on own.pid is null and own.locktype = 'transactionid'
            and own.virtualtransaction = h.virtualtransaction
        join pg_prepared_xacts x on x.transaction = own.transactionid
        where 0 = any(b.blocked_by)
            and h.pid is null
            and h.granted
            and (h.locktype, h.database, h.relation, h.page, h.tuple, h.classid, h.objid, h.objsubid)
            is not distinct from
            (l.locktype, l.database, l.relation, l.page, l.tuple, l.classid, l.objid, l.objsubid)
            and h.transactionid is not distinct from l.transactionid
    ), '{}') as blocked_by_prepared
from l
join pg_database d on d.datname = current_database()
cross join lateral (select pg_blocking_pids(l.pid) as blocked_by) b
left join lateral (
    -- who waits for a row's transaction holds the row's place in the queue
    select r.database, r.relation
    from l r
    where r.pid = l.pid and r.locktype = 'tuple' and r.granted and l.relation is null
    limit 1
) t on true
left join pg_class c on c.oid = coalesce(l.relation, t.relation) and d.oid = coalesce(l.database, t.database)
left join pg_namespace n on n.oid = c.relnamespace
where not l.granted
