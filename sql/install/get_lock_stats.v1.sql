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
                    then l.relation end as own_relation
            from pg_locks l
            where not l.granted or l.locktype = 'tuple' or l.pid is null
        ),
        waits as materialized (
            select distinct on (l.pid)
                l.pid,
                array(select distinct b from unnest(pg_blocking_pids(l.pid)) b order by b) as by,
                l.locktype,
                l.mode,
                l.transactionid,
                -- who waits for a row waits for its transaction, and holds the row's lock meanwhile
                coalesce(l.own_relation, (
                    select t.own_relation from locks t
                    where t.pid = l.pid and t.granted and t.locktype = 'tuple' limit 1)) as relid,
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
        -- Breadth first, a row a level: paths through long queues are far too many to follow each.
        -- Sessions that wait in a circle hang on no root: the first of them takes its place.
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
        prepared as (
            -- a prepared transaction has no session: it is found by the locks that it holds
            select string_agg(x.gid, ', ' order by x.prepared) as gids, min(x.prepared) as since
            from pg_prepared_xacts x
            where exists (
                select
                from locks own
                join locks held on held.virtualtransaction = own.virtualtransaction
                join locks wanted on not wanted.granted
                    and (wanted.locktype, wanted.database, wanted.relation, wanted.page, wanted.tuple,
                            wanted.transactionid, wanted.classid, wanted.objid, wanted.objsubid)
                        is not distinct from
                        (held.locktype, held.database, held.relation, held.page, held.tuple,
                            held.transactionid, held.classid, held.objid, held.objsubid)
                where own.pid is null and held.pid is null
                    and own.locktype = 'transactionid' and own.transactionid = x.transaction)
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
        -- 13 does not say since when: since the statement began, at most
        case when has_waitstart then 'l.waitstart'
            else '(select a.query_start from pg_stat_activity a where a.pid = l.pid)' end);
end
$get_lock_stats$;

comment on function @schema@.get_lock_stats() is
$comment$Who waits for whom: a row a session that waits for a lock or makes others wait, blockers first, indented in tree; no row: nobody waits.

tree: the pid, indented by depth
root_pid: the session at the root: ending its transaction lets the others go on
depth: 0: waits for nobody (or stands in a circle that deadlock_timeout will break); 1: waits for the root; and so on
pid: of the session; 0: a prepared transaction
blocked_by: all sessions that it waits for, those ahead in the queue included
locktype, mode, relation: the lock it waits for; of a row lock the table, for the first in the row's queue
waited: for how long (13: since its statement began)
state, transaction_age, username, application_name, client_addr, datname: of the session
query: what it runs, or ran last
blocking_query: the same of the session one level up

Installed by pgwatch_wed: get_lock_stats v1.$comment$;
