-- A row is the server as a fleet's probe sees it: what it is, whom it follows, and the databases that this role may enter, and those that it may not.
select
    current_setting('server_version_num')::int as version_num,
    current_setting('server_version') as version,
    pg_is_in_recovery() as is_in_recovery,
    (extract(epoch from pg_postmaster_start_time()) * 1000000)::int8 as started_us,
    has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') as may_identify,
    current_user::text as role,
    pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') as reads_all_stats,
    current_database()::text as database,
    host(inet_server_addr()) as address,
    (select setting::int from pg_settings where name = 'port') as port,
    (select sender_host from pg_stat_wal_receiver) as sender_host,
    (select sender_port from pg_stat_wal_receiver) as sender_port,
    coalesce((
        select array_agg(d.datname::text order by d.datname)
        from pg_database d
        where d.datallowconn and not d.datistemplate and has_database_privilege(d.oid, 'CONNECT')
    ), '{}') as databases,
    coalesce((
        select array_agg(d.datname::text order by d.datname)
        from pg_database d
        where d.datallowconn and not d.datistemplate and not has_database_privilege(d.oid, 'CONNECT')
    ), '{}') as closed
