-- A row is a session that waits for a heavyweight lock; for a row lock, the relation is the row's table.
with l as materialized (
    select
        l.*,
        -- a session that waits for the transaction holding a row lock also holds the row's tuple lock
        max(l.database) filter (where l.locktype = 'tuple' and l.granted) over process as row_database,
        max(l.relation) filter (where l.locktype = 'tuple' and l.granted) over process as row_relation,
        -- the locks of a prepared transaction have no process, but an owner that has locked its own transaction ID
        max(l.transactionid::text) filter (where l.locktype = 'transactionid' and l.granted) over (
            partition by l.pid, l.virtualtransaction
        ) as owner
    from pg_locks l
    window process as (partition by l.pid)
), prepared as materialized (
    -- looked up by key, not joined: the planner expects only a few of each, and there may be thousands
    select jsonb_object_agg(h.object, h.gids) as holders
    from (
        select
            (
                h.locktype, h.database, h.relation, h.page, h.tuple, h.classid, h.objid, h.objsubid, h.transactionid
            )::text as object,
            jsonb_agg(distinct (
                select jsonb_object_agg(x.transaction, x.gid) from pg_prepared_xacts x
            ) ->> h.owner) as gids
        from l h
        where h.pid is null and h.granted
        group by 1
    ) h
)
select
    w.pid,
    w.blocked_by,
    w.locktype,
    w.mode,
    w.database_oid::int8 as database_oid,
    w.relation_oid::int8 as relation_oid,
    n.nspname || '.' || c.relname as relation,
    null::timestamptz as wait_start,
    array(
        select jsonb_array_elements_text(w.prepared)
        where 0 = any (w.blocked_by)
        order by 1
    ) as blocked_by_prepared
from (
    select
        l.*,
        coalesce(l.database, l.row_database) as database_oid,
        coalesce(l.relation, l.row_relation) as relation_oid,
        (select p.holders from prepared p) -> (
            l.locktype, l.database, l.relation, l.page, l.tuple, l.classid, l.objid, l.objsubid, l.transactionid
        )::text as prepared,
        pg_blocking_pids(l.pid) as blocked_by
    from l
    where not l.granted
    offset 0
) w
left join pg_class c
    on c.oid = w.relation_oid and w.database_oid = (select d.oid from pg_database d where d.datname = current_database())
left join pg_namespace n on n.oid = c.relnamespace
