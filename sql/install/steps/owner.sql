do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
    object constant text := current_setting('pgwatch_wed.object');
    marker constant text := 'Installed by pgwatch_wed: ' || object || ' v';
    found record;
begin
    -- Replacing an object keeps its owner, who can change at any time what others call. Our comment
    -- proves nothing, since anybody can write it, and neither does being a member of the owner's role
    -- if one is a superuser: those are members of all roles.
    for found in
        select o.name, o.kind, pg_get_userbyid(o.owner) as owner
        from (
            select p.oid::regprocedure::text as name, 'function' as kind, p.proowner as owner
            from pg_proc p
            join pg_namespace n on n.oid = p.pronamespace
            where n.nspname = target and p.proname = object
                and strpos(coalesce(obj_description(p.oid, 'pg_proc'), ''), marker) > 0
            union all
            select c.oid::regclass::text, 'view', c.relowner
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = target and c.relname = object
                and strpos(coalesce(obj_description(c.oid, 'pg_class'), ''), marker) > 0
        ) o
        join pg_roles r on r.oid = o.owner
        where exists (select from pg_roles s where s.rolname = current_user and s.rolsuper)
            and not r.rolsuper
            and r.oid not in (select d.datdba from pg_database d where d.datname = current_database())
            and r.oid not in (select n.nspowner from pg_namespace n where n.nspname = target)
    loop
        raise exception using
            errcode = 'insufficient_privilege',
            message = format('the %s %s belongs to role %I, which could change it after the installation',
                found.kind, found.name, found.owner),
            hint = 'If that role installed it, connect as that role. Otherwise, drop it, or give it to a role that you trust (ALTER ... OWNER TO).';
    end loop;
end
$pgwatch_wed$;
