do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
    object constant text := current_setting('pgwatch_wed.object');
    marker constant text := 'Installed by pgwatch_wed: ' || object || ' v';
    command text;
begin
    for command in
        select format('drop function %s', p.oid::regprocedure)
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = target and p.proname = object
            and strpos(coalesce(obj_description(p.oid, 'pg_proc'), ''), marker) > 0
        union all
        select format('drop view %s', c.oid::regclass)
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = target and c.relname = object and c.relkind = 'v'
            and strpos(coalesce(obj_description(c.oid, 'pg_class'), ''), marker) > 0
    loop
        execute command;
    end loop;
end
$pgwatch_wed$;
