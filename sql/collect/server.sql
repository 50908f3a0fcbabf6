-- A row is the server and this session.
select
    clock_timestamp() as taken_at,
    pg_postmaster_start_time() as started_at,
    current_setting('server_version_num')::int as version_num,
    current_setting('server_version') as version,
    null::text as system_identifier,
    null::int as timeline,
    current_database()::text as database,
    (select oid from pg_database where datname = current_database())::int8 as database_oid,
    current_user::text as role,
    (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
    pg_is_in_recovery() as is_in_recovery,
    current_setting('server_encoding') as encoding,
    current_setting('block_size')::int as block_size,
    coalesce((select setting::int8 * case unit when '8kB' then 8192 when 'B' then 1 else 1 end
              from pg_settings where name = 'wal_segment_size'), 16777216) as wal_segment_bytes,
    coalesce((
        select array_agg(r.rolname::text order by r.rolname)
        from pg_roles r
        where r.rolname like 'pg\_%' and pg_has_role(current_user, r.oid, 'USAGE')
    ), '{}') as role_memberships,
    pg_backend_pid() as backend_pid,
    host(inet_server_addr()) as address,
    case when pg_is_in_recovery() then 'standby' else 'primary' end as node,
    null::timestamptz as database_created_at
