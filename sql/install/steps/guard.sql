do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
    object constant text := current_setting('pgwatch_wed.object');
    max_arguments constant int := current_setting('pgwatch_wed.max_arguments');
    marker constant text := 'Installed by pgwatch_wed: ' || object || ' v';
    found record;
begin
    for found in
        select p.oid::regprocedure::text as name, p.proowner as owner, 'function' as kind,
            strpos(coalesce(obj_description(p.oid, 'pg_proc'), ''), marker) > 0 as is_ours
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = target and p.proname = object
            -- an overload that no call of ours can mean may stay
            and p.pronargs - p.pronargdefaults - (p.provariadic <> 0)::int <= max_arguments
        union all
        select c.oid::regclass::text, c.relowner, 'relation',
            strpos(coalesce(obj_description(c.oid, 'pg_class'), ''), marker) > 0
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = target and c.relname = object and max_arguments < 0
        union all
        select y.oid::regtype::text, y.typowner, 'type', false
        from pg_type y
        join pg_namespace n on n.oid = y.typnamespace
        where n.nspname = target and y.typname = object and y.typrelid = 0 and max_arguments < 0
    loop
        if not found.is_ours then
            raise exception using
                errcode = 'duplicate_object',
                message = format('the %s %s exists and was not installed by pgwatch_wed; it is left as it is',
                    found.kind, found.name),
                hint = 'Install into another schema (db-analyze install --schema NAME, alembic -x schema=NAME), or rename what is there.';
        elsif not pg_has_role(found.owner, 'usage') then
            raise exception using
                errcode = 'insufficient_privilege',
                message = format('the %s %s belongs to role %I',
                    found.kind, found.name, pg_get_userbyid(found.owner)),
                hint = 'Connect as that role, or as one that is a member of it.';
        end if;
    end loop;
end
$pgwatch_wed$;
