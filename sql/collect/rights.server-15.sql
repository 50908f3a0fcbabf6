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
    '{}'::int8[] as maintains
from pg_roles me
where me.rolname = current_user
