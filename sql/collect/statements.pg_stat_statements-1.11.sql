-- A row is a statement of this database; see statement_texts for the texts of the costliest.
select
    s.userid::int8 as user_oid,
    -- a separate lookup for each role: the planner expects only a few statements
    nullif(pg_get_userbyid(s.userid)::text, format('unknown (OID=%s)', s.userid)) as "user",
    s.queryid as query_id,
    s.toplevel as is_toplevel,
    null::text as text,
    s.calls,
    s.plans,
    s.total_plan_time as total_plan_ms,
    s.total_exec_time as total_exec_ms,
    s.min_exec_time as min_exec_ms,
    s.max_exec_time as max_exec_ms,
    s.mean_exec_time as mean_exec_ms,
    s.stddev_exec_time as stddev_exec_ms,
    s.rows,
    s.shared_blks_hit,
    s.shared_blks_read,
    s.shared_blks_dirtied,
    s.shared_blks_written,
    s.local_blks_hit,
    s.local_blks_read,
    s.temp_blks_read,
    s.temp_blks_written,
    s.shared_blk_read_time as blk_read_ms,
    s.shared_blk_write_time as blk_write_ms,
    s.temp_blk_read_time + s.temp_blk_write_time as temp_blk_ms,
    s.wal_records,
    s.wal_fpi,
    s.wal_bytes::int8 as wal_bytes,
    s.jit_functions as jit_functions,
    s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time + s.jit_deform_time as jit_ms,
    null::int8 as parallel_workers_to_launch,
    null::int8 as parallel_workers_launched,
    null::int8 as generic_plan_calls,
    null::int8 as custom_plan_calls,
    s.stats_since as stats_since,
    s.minmax_stats_since as minmax_stats_since
from @extschema@.pg_stat_statements(false) s
where s.dbid = (select oid from pg_database where datname = current_database())
    and s.queryid is not null
order by s.total_exec_time desc, s.queryid, s.userid
limit @max_statements@
