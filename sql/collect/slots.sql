-- A row is a replication slot.
select
    s.slot_name::text as name,
    s.plugin::text as plugin,
    s.slot_type,
    s.database::text as database,
    s.temporary as is_temporary,
    s.active as is_active,
    s.active_pid,
    s.xmin::text::int8 as xmin,
    age(s.xmin)::int8 as xmin_age_xids,
    age(s.catalog_xmin)::int8 as catalog_xmin_age_xids,
    pg_wal_lsn_diff(p.lsn, s.restart_lsn)::int8 as retained_bytes,
    pg_wal_lsn_diff(p.lsn, s.confirmed_flush_lsn)::int8 as confirmed_lag_bytes,
    s.wal_status,
    s.safe_wal_size as safe_wal_bytes,
    (to_jsonb(s) ->> 'inactive_since')::timestamptz as inactive_since,
    to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason,
    (to_jsonb(s) ->> 'synced')::bool as is_synced
from pg_replication_slots s
cross join (
    select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn
) p
