-- A row is a policy in the lab, with its condition as the server prints it.
select
    n.nspname::text as schema,
    c.relname::text as table,
    p.polname::text as name,
    pg_get_expr(p.polqual, p.polrelid) as condition,
    array(select r.rolname::text from pg_roles r where r.oid = any (p.polroles) order by r.rolname) as roles
from pg_policy p
join pg_class c on c.oid = p.polrelid
join pg_namespace n on n.oid = c.relnamespace
order by n.nspname, c.relname, p.polname
