-- A row is a server process other than this one.
select
    a.pid,
    a.leader_pid,
    a.datname::text as database,
    a.usename::text as "user",
    a.application_name,
    coalesce(host(a.client_addr), case when a.client_port = -1 then 'local' end) as client,
    a.backend_type,
    a.state,
    a.wait_event_type,
    a.wait_event,
    a.backend_start,
    a.xact_start,
    a.query_start,
    a.state_change,
    age(a.backend_xid)::int8 as xid_age_xids,
    age(a.backend_xmin)::int8 as xmin_age_xids,
    null::int8 as query_id,
    a.query
from pg_stat_activity a
where a.pid <> pg_backend_pid()
