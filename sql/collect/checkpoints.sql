-- A row is the checkpointer's and background writer's counters.
select
    checkpoints_timed as timed,
    checkpoints_req as requested,
    checkpoint_write_time as write_ms,
    checkpoint_sync_time as sync_ms,
    buffers_checkpoint,
    buffers_clean,
    maxwritten_clean,
    buffers_backend,
    buffers_backend_fsync,
    buffers_alloc,
    stats_reset
from pg_stat_bgwriter
