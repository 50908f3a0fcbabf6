-- A row is how near a server is to its limits: client connections, and those that everybody may use.
select
    (select count(*) from pg_stat_activity a where a.datname is not null)::int4 as connections,
    (
        select current_setting('max_connections')::int4 - sum(s.setting::int4)
        from pg_settings s
        where s.name in ('superuser_reserved_connections', 'reserved_connections')
    )::int4 as usable,
    pg_database_size(current_database()) as database_bytes,
    has_function_privilege('pg_ls_waldir()', 'execute') as sees_wal
