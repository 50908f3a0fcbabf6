-- A row is the WAL position; before 14, WAL is not counted.
select
    null::int8 as records,
    null::int8 as full_page_images,
    null::int8 as wal_bytes,
    null::int8 as buffers_full,
    case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 end as lsn_bytes,
    null::timestamptz as stats_reset
