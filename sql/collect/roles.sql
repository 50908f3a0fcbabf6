-- A row is a role that can log in.
select
    rolname::text as name,
    rolsuper as is_superuser,
    rolcanlogin as can_login,
    rolconnlimit::int as connection_limit,
    rolreplication as is_replication
from pg_roles
where rolcanlogin
