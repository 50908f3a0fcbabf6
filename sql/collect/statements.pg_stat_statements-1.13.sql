-- A row is a statement of this database; the text only of those that stand out.
with counters as materialized (
    select s.*
    from @extschema@.pg_stat_statements(false) s
    where s.dbid = (select oid from pg_database where datname = current_database())
        and s.queryid is not null
), ranked as (
    select
        c.*,
        row_number() over (order by c.total_exec_time desc) as by_time,
        row_number() over (order by c.calls desc) as by_calls,
        row_number() over (order by c.shared_blks_read desc) as by_reads,
        row_number() over (order by c.temp_blks_written desc) as by_temp,
        row_number() over (order by c.wal_bytes desc) as by_wal,
        row_number() over (order by c.rows desc) as by_rows
    from counters c
), chosen as (
    select r.*, least(r.by_time, r.by_calls, r.by_reads, r.by_temp, r.by_wal, r.by_rows) as place
    from ranked r
    where least(r.by_time, r.by_calls, r.by_reads, r.by_temp, r.by_wal, r.by_rows) <= @max_statements@
), texts as materialized (
    select s.userid, s.queryid, s.toplevel as toplevel, s.query
    from @extschema@.pg_stat_statements(@with_texts@) s
    where s.dbid = (select oid from pg_database where datname = current_database())
        and s.queryid in (select queryid from chosen where place <= @max_texts@)
)
select
    c.userid::int8 as user_oid,
    u.rolname::text as "user",
    c.queryid as query_id,
    c.toplevel as is_toplevel,
    t.query as text,
    c.calls,
    c.plans,
    c.total_plan_time as total_plan_ms,
    c.total_exec_time as total_exec_ms,
    c.min_exec_time as min_exec_ms,
    c.max_exec_time as max_exec_ms,
    c.mean_exec_time as mean_exec_ms,
    c.stddev_exec_time as stddev_exec_ms,
    c.rows,
    c.shared_blks_hit,
    c.shared_blks_read,
    c.shared_blks_dirtied,
    c.shared_blks_written,
    c.local_blks_hit,
    c.local_blks_read,
    c.temp_blks_read,
    c.temp_blks_written,
    c.shared_blk_read_time as blk_read_ms,
    c.shared_blk_write_time as blk_write_ms,
    c.temp_blk_read_time + c.temp_blk_write_time as temp_blk_ms,
    c.wal_records,
    c.wal_fpi,
    c.wal_bytes::int8 as wal_bytes,
    c.jit_functions as jit_functions,
    c.jit_generation_time + c.jit_inlining_time + c.jit_optimization_time + c.jit_emission_time + c.jit_deform_time as jit_ms,
    c.parallel_workers_to_launch as parallel_workers_to_launch,
    c.parallel_workers_launched as parallel_workers_launched,
    c.generic_plan_calls as generic_plan_calls,
    c.custom_plan_calls as custom_plan_calls,
    c.stats_since as stats_since
from chosen c
left join texts t on t.userid = c.userid and t.queryid = c.queryid and t.toplevel = c.toplevel
left join pg_roles u on u.oid = c.userid
order by c.total_exec_time desc, c.queryid, c.userid
