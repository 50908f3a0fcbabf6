do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
begin
    execute format('drop table if exists %I.pgwatch_wed_alembic_version', target);
    if strpos(coalesce(obj_description(to_regnamespace(quote_ident(target)), 'pg_namespace'), ''),
        'Made by pgwatch_wed ') <> 1
    then
        return;
    end if;
    begin
        execute format('drop schema %I', target);
    exception when dependent_objects_still_exist then
        -- somebody else lives in it by now: it is theirs
        execute format('comment on schema %I is null', target);
        execute format('revoke usage on schema %I from pg_monitor', target);
    end;
end
$pgwatch_wed$;
