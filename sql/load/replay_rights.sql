-- A row is what the role of a session may do: whether it is a superuser, creates roles, can write to any table; and whether there is a role for readers.
select
    r.rolsuper as is_superuser,
    r.rolcreaterole as may_create,
    exists (
        select from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
        and pg_catalog.has_table_privilege(c.oid, 'insert, update, delete, truncate')
    ) as can_write,
    exists (select from pg_catalog.pg_roles a where a.rolname = 'pg_read_all_data') as is_readers_role
from pg_catalog.pg_roles r
where r.rolname = current_user
