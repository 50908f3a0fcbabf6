-- A row is a walsender; lags in bytes behind this server's current position.
select
    r.pid,
    r.usename::text as "user",
    r.application_name,
    r.state,
    r.sync_state,
    pg_wal_lsn_diff(p.lsn, r.sent_lsn)::int8 as sent_lag_bytes,
    pg_wal_lsn_diff(p.lsn, r.flush_lsn)::int8 as flush_lag_bytes,
    pg_wal_lsn_diff(p.lsn, r.replay_lsn)::int8 as replay_lag_bytes,
    extract(epoch from r.replay_lag)::float8 * 1000 as replay_lag_ms,
    r.backend_xmin::text::int8 as backend_xmin,
    age(r.backend_xmin)::int8 as backend_xmin_age_xids,
    s.slot_name::text as slot_name
from pg_stat_replication r
left join pg_replication_slots s on s.active_pid = r.pid
cross join (
    select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn
) p
