-- A row is the database that we are connected to, and what is shown of its sessions.
select
    d.oid::int8 as database_oid,
    pg_backend_pid() as pid,
    current_setting('track_activity_query_size') as text_size,
    -- counted from 14 on; looked up by name, so that one query serves all versions
    (select (to_jsonb(s) ->> 'active_time')::float8 from pg_stat_database s where s.datid = d.oid) as active_ms
from pg_database d
where d.datname = current_database()
