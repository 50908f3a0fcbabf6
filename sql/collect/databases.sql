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
    j.d ->> 'datcollversion' as collation_version,
    null::text as actual_collation_version,
    s.numbackends::int as num_backends,
    s.xact_commit, s.xact_rollback, s.blks_read, s.blks_hit,
    s.blk_read_time as blk_read_ms,
    s.blk_write_time as blk_write_ms,
    s.tup_returned, s.tup_fetched, s.tup_inserted, s.tup_updated, s.tup_deleted,
    s.conflicts, s.temp_files, s.temp_bytes, s.deadlocks,
    (j.s ->> 'checksum_failures')::int8 as checksum_failures,
    (j.s ->> 'checksum_last_failure')::timestamptz as checksum_last_failure,
    (j.s ->> 'session_time')::float8 as session_ms,
    (j.s ->> 'active_time')::float8 as active_ms,
    (j.s ->> 'idle_in_transaction_time')::float8 as idle_in_transaction_ms,
    (j.s ->> 'sessions')::int8 as sessions,
    (j.s ->> 'sessions_abandoned')::int8 as sessions_abandoned,
    (j.s ->> 'sessions_fatal')::int8 as sessions_fatal,
    (j.s ->> 'sessions_killed')::int8 as sessions_killed,
    s.stats_reset
from pg_database d
left join pg_stat_database s on s.datid = d.oid
left join pg_roles r on r.oid = d.datdba
cross join lateral (select to_jsonb(d) as d, to_jsonb(s) as s) j
