-- A row is a database on a server, with what distinguishes it from a copy.
select
    current_database() as database,
    pg_is_in_recovery() as is_standby,
    pg_postmaster_start_time()::text || coalesce(inet_server_port()::text, '') as start,
    (select d.oid::int8 from pg_database d where d.datname = current_database()) as oid,
    (
        select coalesce(sum(c.relpages), 0)::int8
        from pg_class c
        where c.relkind in ('r', 'm') and c.oid >= 16384
    ) as pages
