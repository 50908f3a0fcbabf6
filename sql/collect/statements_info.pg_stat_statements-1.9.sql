-- A row is pg_stat_statements as a whole.
select
    count(*)::int8 as entries,
    (select setting::int8 from pg_settings where name = 'pg_stat_statements.max') as max_entries,
    (select setting from pg_settings where name = 'pg_stat_statements.track') as track,
    (select setting = 'on' from pg_settings where name = 'pg_stat_statements.track_planning') as track_planning,
    (select dealloc from @extschema@.pg_stat_statements_info()) as dealloc,
    (select stats_reset from @extschema@.pg_stat_statements_info()) as stats_reset,
    count(*) filter (where s.queryid is null)::int8 as hidden_entries,
    0::int8 as unreadable_entries,
    coalesce(sum(s.total_exec_time) filter (where s.toplevel), 0)::float8 as total_exec_ms,
    coalesce(sum(s.total_exec_time) filter (where s.toplevel and s.dbid = (select oid from pg_database where datname = current_database())), 0)::float8 as total_exec_ms_database,
    coalesce(sum(s.calls) filter (where s.toplevel and s.dbid = (select oid from pg_database where datname = current_database())), 0)::int8 as calls_database,
    null::int8 as text_bytes
from @extschema@.pg_stat_statements(false) s
