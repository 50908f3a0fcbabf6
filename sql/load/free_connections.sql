-- How many more sessions the server accepts of a role without privileges.
select current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int
    - (select count(*) from pg_stat_activity where backend_type = 'client backend')
