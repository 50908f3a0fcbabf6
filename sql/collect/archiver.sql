-- A row is the archiver's counters.
select
    archived_count, last_archived_wal, last_archived_time,
    failed_count, last_failed_wal, last_failed_time, stats_reset
from pg_stat_archiver
