-- A row is what this role may do besides reading. Superusers may do everything, so that nothing is listed for them.
select
    me.rolreplication as is_replication,
    me.rolcreaterole as can_create_roles,
    coalesce(has_function_privilege(me.oid, to_regprocedure('pg_catalog.pg_reload_conf()'), 'EXECUTE'), false) as can_reload,
    coalesce((
        select array_agg(r.rolname::text order by r.rolname)
        from pg_roles r
        where not me.rolsuper and pg_has_role(me.oid, r.oid, 'USAGE')
    ), '{}') as acts_as,
    coalesce((
        select array_agg(r.rolname::text order by r.rolname)
        from pg_roles r
        where not me.rolsuper and r.oid <> me.oid and pg_has_role(me.oid, r.oid, 'USAGE WITH ADMIN OPTION')
    ), '{}') as administers,
    coalesce((
        select array_agg(p.parname order by p.parname)
        from pg_parameter_acl p
        where not me.rolsuper and has_parameter_privilege(me.oid, p.parname, 'ALTER SYSTEM')
    ), '{}') as parameters,
    coalesce((
        select array_agg(c.oid::int8)
        from pg_class c
        -- of the current role, without reference to "me": so it is certain that the catalog is read once
        where not (select rolsuper from pg_roles where rolname = current_user) and not pg_has_role('pg_maintain', 'USAGE')
            and c.relkind in ('r', 'p', 'm') and c.relacl is not null
            and has_table_privilege(c.oid, 'MAINTAIN') and not pg_has_role(c.relowner, 'USAGE')
    ), '{}') as maintains
from pg_roles me
where me.rolname = current_user
