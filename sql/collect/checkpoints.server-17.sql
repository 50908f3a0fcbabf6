-- A row is the checkpointer's and background writer's counters.
select
    c.num_timed as timed,
    c.num_requested as requested,
    c.write_time as write_ms,
    c.sync_time as sync_ms,
    c.buffers_written as buffers_checkpoint,
    b.buffers_clean,
    b.maxwritten_clean,
    null::int8 as buffers_backend,
    null::int8 as buffers_backend_fsync,
    b.buffers_alloc,
    c.stats_reset
from pg_stat_checkpointer c
cross join pg_stat_bgwriter b
