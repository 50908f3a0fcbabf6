-- A row is the I/O of one backend type on one kind of object in one context.
select
    backend_type, object, context,
    reads, reads * op_bytes as read_bytes, read_time as read_ms,
    writes, writes * op_bytes as write_bytes, write_time as write_ms,
    extends, hits, evictions, reuses, fsyncs, stats_reset
from pg_stat_io
