-- What the server has counted for this database, and of WAL.
select d.xact_commit, d.xact_rollback, d.blks_hit, d.blks_read,
    d.tup_inserted + d.tup_updated + d.tup_deleted as rows_changed, d.temp_bytes,
    w.wal_records, w.wal_bytes, w.wal_fpi,
    coalesce((select sum(autovacuum_count + autoanalyze_count) from pg_stat_all_tables), 0) as upkeep
from pg_stat_database d, pg_stat_wal w
where d.datname = current_database()
