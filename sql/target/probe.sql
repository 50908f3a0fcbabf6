-- A row is the server as a probe sees it: its role, how far it is behind, how old its archive is.
select
    r.is_standby,
    case when r.is_standby then pg_is_wal_replay_paused() else false end as is_paused,
    exists (select from pg_stat_wal_receiver) as has_walreceiver,
    case when r.is_standby then pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() end as is_caught_up,
    extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as replay_age_s,
    current_setting('archive_mode') <> 'off' as is_archiving,
    extract(epoch from clock_timestamp() - a.last_archived_time)::float8 as archive_age_s,
    coalesce(a.last_failed_time > a.last_archived_time, a.last_failed_time is not null) as has_archive_failed,
    current_setting('default_transaction_read_only')::boolean as is_read_only
from (select pg_is_in_recovery() as is_standby) r
cross join pg_stat_archiver a
