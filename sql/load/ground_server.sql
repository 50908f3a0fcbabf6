-- A row is a server, as far as it matters for whether load may run on it.
select
    host(inet_server_addr()) as address,
    inet_server_port() as port,
    current_database()::text as database,
    pg_is_in_recovery() as is_standby,
    extract(epoch from pg_postmaster_start_time())::float8 as started,
    coalesce(
        (select r.rolsuper or r.rolcreatedb from pg_roles r where r.rolname = current_user), false
    ) as may_create_database,
    has_database_privilege(current_database(), 'CREATE') as may_create_schema,
    (select count(*) from pg_stat_replication)::int4 as receivers,
    (select count(*) from pg_replication_slots)::int4 as slots,
    current_setting('archive_mode') <> 'off' as is_archiving,
    current_user::text as role,
    (select s.setting from pg_settings s where s.name = 'data_directory') as data_directory
