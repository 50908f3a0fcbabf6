-- A row is a server process at this moment, without what it runs.
select
    a.pid,
    a.leader_pid,
    a.datname::text as database,
    a.usename::text as "user",
    a.application_name,
    a.backend_type,
    a.state,
    a.wait_event_type,
    a.wait_event,
    null::int8 as query_id,
    statement_timestamp() as sampled_at
from pg_stat_activity a
