-- A row is one SLRU cache.
select name, blks_zeroed, blks_hit, blks_read, blks_written, stats_reset from pg_stat_slru
