create or replace function @schema@.get_lock_stats()
returns table (
    tree text,
    root_pid integer,
    depth integer,
    pid integer,
    blocked_by integer[],
    locktype text,
    mode text,
    relation text,
    waited interval,
    state text,
    transaction_age interval,
    username name,
    application_name text,
    client_addr inet,
    datname name,
    query text,
    blocking_query text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $get_lock_stats$
declare
    has_waitstart constant boolean := exists (
        select from pg_attribute a
        where a.attrelid = 'pg_catalog.pg_locks'::regclass and a.attname = 'waitstart');
begin
    return query execute format(
        $query$ /* pgwatch_wed */
        with recursive locks as materialized (
            select
                l.*,
                case when l.database = (
                    select d.oid from pg_database d where d.datname = current_database())
                    then l.relation end as own_relation,
                (
                    l.locktype, l.database, l.relation, l.page, l.tuple, l.classid, l.objid, l.objsubid,
                    l.transactionid
                )::text as object
            from pg_locks l
            where not l.granted or l.locktype = 'tuple' or l.pid is null
        ),
        held_rows as materialized (
            select l.pid, l.own_relation from locks l
            where l.granted and l.locktype = 'tuple' and l.pid is not null
        ),
        waits as materialized (
            select distinct on (l.pid)
                l.pid,
                array(select distinct b from unnest(pg_blocking_pids(l.pid)) b order by b) as by,
                l.locktype,
                l.mode,
                l.transactionid,
                -- a session that waits for a row waits for a transaction, and holds the row's lock meanwhile
                coalesce(l.own_relation, (
                    select t.own_relation from held_rows t where t.pid = l.pid limit 1)) as relid,
                %s as since
            from locks l
            where not l.granted and l.pid is not null
            order by l.pid
        ),
        roots as (
            select distinct b as pid
            from waits w cross join unnest(w.by) b
            where not exists (select from waits o where o.pid = b and cardinality(o.by) > 0)
        ),
        -- Breadth first, one row per level: long queues have far too many paths to follow each.
        -- Sessions in a deadlock have no root: the first of them takes its place.
        levels (level, depth, pids, seen) as (
            select
                1,
                0,
                coalesce(array_agg(r.pid), '{}'),
                coalesce(array_agg(r.pid), '{}')
            from roots r
            union all
            select
                v.level + 1,
                case when n.pids is null then 0 else v.depth + 1 end,
                coalesce(n.pids, c.pids),
                v.seen || coalesce(n.pids, c.pids)
            from levels v
            cross join lateral (
                select array_agg(w.pid) as pids from waits w
                where w.by && v.pids and w.pid <> all (v.seen)
            ) n
            cross join lateral (
                select array[min(w.pid)] as pids from waits w
                where n.pids is null and cardinality(w.by) > 0 and w.pid <> all (v.seen)
            ) c
            where coalesce(n.pids[1], c.pids[1]) is not null
        ),
        parents as materialized (
            select
                p.depth,
                e.pid,
                case when p.depth > 0 then (
                    select min(a) from levels q cross join unnest(q.pids) a
                    where q.level = p.level - 1 and a = any (w.by)) end as parent
            from levels p
            cross join unnest(p.pids) e (pid)
            left join waits w on w.pid = e.pid
        ),
        branches (root, depth, pid, parent, path) as (
            select p.pid, p.depth, p.pid, null::integer, array[p.pid]
            from parents p where p.depth = 0
            union all
            select b.root, p.depth, p.pid, p.parent, b.path || p.pid
            from branches b join parents p on p.parent = b.pid and p.depth = b.depth + 1
        ),
        wanted as (
            select jsonb_object_agg(l.object, true) as objects from locks l where not l.granted
        ),
        owners as (
            -- A prepared transaction has no process: it is found by the locks that it holds. They are
            -- looked up by key, not joined: the planner expects few of each, and there may be thousands.
            select jsonb_object_agg(h.owner, true) as transactions
            from (
                select
                    l.object,
                    max(l.transactionid::text) filter (where l.locktype = 'transactionid')
                        over (partition by l.virtualtransaction) as owner
                from locks l
                where l.pid is null
            ) h
            where h.owner is not null and (select w.objects from wanted w) ? h.object
        ),
        prepared as materialized (
            select
                array_to_string((array_agg(x.gid order by x.prepared, x.gid))[:5], ', ')
                    || case when count(*) > 5 then ' and ' || count(*) - 5 || ' more' else '' end as gids,
                min(x.prepared) as since
            from pg_prepared_xacts x
            where (select o.transactions from owners o) ? x.transaction::text
        )
        select
            repeat('  ', b.depth) || b.pid,
            b.root,
            b.depth,
            b.pid,
            coalesce(w.by, '{}'),
            w.locktype,
            w.mode,
            case when w.relid is not null then coalesce(
                (select quote_ident(n.nspname) || '.' || quote_ident(c.relname)
                    from pg_class c join pg_namespace n on n.oid = c.relnamespace
                    where c.oid = w.relid),
                w.relid::text) end,
            date_trunc('milliseconds', clock_timestamp() - w.since),
            case when b.pid = 0 then 'prepared transaction' else a.state end,
            date_trunc('milliseconds', clock_timestamp()
                - case when b.pid = 0 then (select x.since from prepared x) else a.xact_start end),
            a.usename,
            a.application_name,
            a.client_addr,
            a.datname,
            case when b.pid = 0 then 'prepared: ' || (select x.gids from prepared x)
                else a.query end,
            case when b.parent = 0 then 'prepared: ' || (select x.gids from prepared x)
                else p.query end
        from branches b
        left join waits w on w.pid = b.pid
        left join pg_stat_activity a on a.pid = b.pid
        left join pg_stat_activity p on p.pid = b.parent
        order by b.path
        $query$,
        -- 13 does not record when the wait began: it was after the statement began
        case when has_waitstart then 'l.waitstart'
            else '(select a.query_start from pg_stat_activity a where a.pid = l.pid)' end);
end
$get_lock_stats$;

comment on function @schema@.get_lock_stats() is
$comment$Which sessions are waiting for which: one row for each session that is waiting for a lock and for each that blocks others, blockers first; no rows if there are none.

tree: the PID, indented by depth
root_pid: the session at the root; when its transaction ends, the others can continue
depth: 0: not waiting, or in a deadlock, which is resolved after deadlock_timeout; 1: waiting for the root; and so on
pid: the session; 0: prepared transactions, which have none; query names them, at most five
blocked_by: all sessions that it is waiting for, including those ahead of it in the queue
locktype, mode, relation: the lock that it is waiting for; for the first session waiting for a row, the row's table
waited: how long it has been waiting (13: since its statement began)
state, transaction_age, username, application_name, client_addr, datname: from the session
query: its current or last query
blocking_query: the same for the session one level up

Installed by pgwatch_wed: get_lock_stats v2.$comment$;
