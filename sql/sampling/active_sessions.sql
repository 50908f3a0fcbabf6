-- A row is a process that does something at this moment, or that others wait for.
with a as materialized (
    select
        a.pid,
        a.leader_pid,
        a.datid::int8 as database_oid,
        a.application_name,
        a.backend_type,
        a.state,
        a.wait_event_type,
        a.wait_event,
        @query_id@ as query_id,
        extract(epoch from clock_timestamp() - a.state_change)::float8 as age_s,
        a.query,
        a.backend_xid is not null as has_xid
    from pg_stat_activity a
    where a.pid <> pg_backend_pid()
), w as materialized (
    -- the lock that a waiter for a row's tuple lock wants is held by one that waits for a transaction: these first
    select w.pid, pg_blocking_pids(w.pid) as blocked_by
    from (
        select a.pid
        from a
        where a.wait_event_type = 'Lock'
        order by a.wait_event = 'tuple', a.pid
        limit @most_waiters@
    ) w
)
select
    a.pid,
    a.leader_pid,
    a.database_oid,
    a.application_name,
    a.backend_type,
    a.state,
    a.wait_event_type,
    a.wait_event,
    a.query_id,
    a.age_s,
    case when a.query_id is null or not a.query_id = any (%(known)s::int8[]) then a.query end as query,
    (select w.blocked_by from w where w.pid = a.pid) as blocked_by,
    a.has_xid,
    extract(epoch from clock_timestamp() - statement_timestamp())::float8 as spent_s
from a
where
    (a.state is distinct from 'idle' and a.wait_event_type is distinct from 'Activity')
    or a.pid = any (array(select unnest(w.blocked_by) from w))
