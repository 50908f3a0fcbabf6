-- A row is the WAL written since the reset, and the current position.
select
    w.wal_records as records,
    w.wal_fpi as full_page_images,
    w.wal_bytes::int8 as wal_bytes,
    w.wal_buffers_full as buffers_full,
    case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 end as lsn_bytes,
    w.stats_reset
from pg_stat_wal w
