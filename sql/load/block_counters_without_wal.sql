-- The same for a server that does not count WAL.
select d.xact_commit, d.xact_rollback, d.blks_hit, d.blks_read,
    d.tup_inserted + d.tup_updated + d.tup_deleted as rows_changed, d.temp_bytes,
    null::bigint as wal_records,
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::numeric as wal_bytes,
    null::bigint as wal_fpi,
    coalesce((select sum(autovacuum_count + autoanalyze_count) from pg_stat_all_tables), 0) as upkeep
from pg_stat_database d
where d.datname = current_database()
