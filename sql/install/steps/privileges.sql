do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
    object constant text := current_setting('pgwatch_wed.object');
    found record;
    grantee oid;
begin
    -- Default privileges may have granted to the roles of an API; only the owner keeps what it has.
    for found in
        select p.oid::regprocedure::text as name, 'function' as kind, 'execute' as privilege,
            p.proowner as owner, coalesce(p.proacl, acldefault('f', p.proowner)) as acl,
            false as is_view
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = target and p.proname = object
            and strpos(coalesce(obj_description(p.oid, 'pg_proc'), ''),
                'Installed by pgwatch_wed: ' || object || ' v') > 0
        union all
        select c.oid::regclass::text, 'table', 'select',
            c.relowner, coalesce(c.relacl, acldefault('r', c.relowner)), c.relkind = 'v'
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = target and c.relname = object
    loop
        for grantee in
            select distinct a.grantee from aclexplode(found.acl) a where a.grantee <> found.owner
        loop
            execute format('revoke all on %s %s from %s cascade', found.kind, found.name,
                case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end);
        end loop;
        execute format('grant %s on %s %s to pg_monitor', found.privilege, found.kind, found.name);
        if found.is_view and current_setting('server_version_num')::int >= 150000 then
            execute format('alter view %s set (security_invoker = true)', found.name);
        end if;
    end loop;
    if object = 'pgwatch_wed_alembic_version' and not has_schema_privilege('pg_monitor', target, 'usage')
    then
        raise warning using
            message = format('pg_monitor may not use schema %I: its members cannot call what was installed there', target),
            hint = format('GRANT USAGE ON SCHEMA %I TO pg_monitor', target);
    end if;
end
$pgwatch_wed$;
