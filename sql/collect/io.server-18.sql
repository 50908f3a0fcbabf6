-- A row is the I/O of one backend type on one kind of object in one context.
select
    backend_type, object, context,
    reads, read_bytes::int8 as read_bytes, read_time as read_ms,
    writes, write_bytes::int8 as write_bytes, write_time as write_ms,
    extends, hits, evictions, reuses, fsyncs, stats_reset
from pg_stat_io
