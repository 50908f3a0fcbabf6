-- A row is a database and its cumulative counters.
select
    d.oid::int8 as oid,
    d.datname::text as name,
    coalesce(r.rolname::text, d.datdba::text) as owner,
    d.datallowconn as allows_connections,
    d.datistemplate as is_template,
    d.datconnlimit::int as connection_limit,
    pg_encoding_to_char(d.encoding)::text as encoding,
    age(d.datfrozenxid)::int8 as xid_age_xids,
    case when d.datminmxid = '0' then 0 else mxid_age(d.datminmxid) end::int8 as mxid_age,
    d.datcollversion as collation_version,
    pg_database_collation_actual_version(d.oid) as actual_collation_version,
    s.numbackends::int as num_backends,
    s.xact_commit, s.xact_rollback, s.blks_read, s.blks_hit,
    s.blk_read_time as blk_read_ms,
    s.blk_write_time as blk_write_ms,
    s.tup_returned, s.tup_fetched, s.tup_inserted, s.tup_updated, s.tup_deleted,
    s.conflicts, s.temp_files, s.temp_bytes, s.deadlocks,
    s.checksum_failures, s.checksum_last_failure,
    s.session_time as session_ms,
    s.active_time as active_ms,
    s.idle_in_transaction_time as idle_in_transaction_ms,
    s.sessions, s.sessions_abandoned, s.sessions_fatal, s.sessions_killed,
    s.stats_reset
from pg_database d
left join pg_stat_database s on s.datid = d.oid
left join pg_roles r on r.oid = d.datdba
