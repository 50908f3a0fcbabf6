-- A row is the state of replay on a standby; there is none on a primary.
select
    pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::int8 as replay_lag_bytes,
    pg_last_xact_replay_timestamp() as last_replayed_at,
    pg_is_wal_replay_paused() as is_paused,
    exists (select from pg_stat_wal_receiver) as has_walreceiver
where pg_is_in_recovery()
