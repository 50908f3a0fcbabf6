-- A row is a role that matters for row-level security: one that runs statements, owns a relation, or that a policy names.
with involved as (
    select r.oid, r.rolname, r.rolsuper or r.rolbypassrls as is_free
    from pg_roles r
    where r.rolname = any (%(users)s::text[]) or r.rolname = current_user
        or r.oid in (select unnest(p.polroles) from pg_policy p)
        or r.oid in (
            select c.relowner from pg_class c
            where c.relrowsecurity or c.relkind = 'v' and c.oid >= 16384
        )
)
select
    i.rolname::text as name,
    i.is_free,
    i.rolname = current_user as is_ours,
    array(
        select o.rolname::text from involved o
        where o.oid <> i.oid and not i.is_free and pg_has_role(i.oid, o.oid, 'USAGE')
        order by o.rolname
    ) as member_of
from involved i
order by i.rolname
