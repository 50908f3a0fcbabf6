-- A row is a table with row-level security, or a view, whose owner's rights decide what it reads; none if no table has it.
select
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    pg_get_userbyid(c.relowner)::text as owner,
    c.relrowsecurity as is_secured,
    c.relforcerowsecurity as is_forced,
    c.relrowsecurity and row_security_active(c.oid) as hides_statistics,
    array(select p.polname::text from pg_policy p where p.polrelid = c.oid order by p.polname) as policies
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and (c.relrowsecurity or c.relkind = 'v' and exists (select from pg_class x where x.relrowsecurity))
order by n.nspname, c.relname
