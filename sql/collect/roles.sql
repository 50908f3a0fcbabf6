-- A row is a role that can log in; it is a monitoring role if it is not a superuser and may read all statistics.
select
    r.rolname::text as name,
    r.rolsuper as is_superuser,
    r.rolcanlogin as can_login,
    r.rolconnlimit::int as connection_limit,
    r.rolreplication as is_replication,
    not r.rolsuper and exists (
        select from pg_roles m where m.rolname = 'pg_read_all_stats' and pg_has_role(r.oid, m.oid, 'MEMBER')
    ) as is_monitoring
from pg_roles r
where r.rolcanlogin
