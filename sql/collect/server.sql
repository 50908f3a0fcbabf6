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
    null::timestamptz as database_created_at,
    -- the role that initialized the cluster belongs to the provider on a managed service, and cannot be copied
    (select case rolname
        when 'rdsadmin' then 'Amazon RDS'
        when 'cloudsqladmin' then 'Google Cloud SQL'
        when 'alloydbadmin' then 'Google AlloyDB'
        when 'azuresu' then 'Azure'
        when 'azure_superuser' then 'Azure'
        when 'supabase_admin' then 'Supabase'
        when 'cloud_admin' then 'Neon'
    end from pg_roles where oid = 10) as provider,
    coalesce((select rolinherit from pg_roles where rolname = current_user), true) as inherits,
    coalesce((
        select array_agg(r.rolname::text order by r.rolname)
        from pg_auth_members m
        join pg_roles r on r.oid = m.roleid
        where m.member = (select oid from pg_roles where rolname = current_user)
            and r.rolname like 'pg\_%' and not pg_has_role(current_user, r.oid, 'USAGE')
    ), '{}') as unused_memberships,
    -- all but the values
    coalesce((
        select array_agg(a.attname::text order by a.attnum)
        from pg_attribute a
        where a.attrelid = to_regclass('pg_catalog.pg_statistic') and a.attnum > 0
            and a.attname ~ '^sta(relid|attnum|inherit|nullfrac|width|distinct|kind\d|numbers\d)$'
            and not has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    ), '{}') as hidden_statistic_columns
