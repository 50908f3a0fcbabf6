do $pgwatch_wed$
declare
    target constant text := current_setting('pgwatch_wed.schema');
    found record;
begin
    select c.oid, c.oid::regclass::text as name, c.relkind into found
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = target and c.relname = 'pgwatch_wed_alembic_version';
    if found.oid is null then
        return;
    end if;
    -- nobody gives it a trigger between our look and our write
    if found.relkind = 'r' and not pg_is_in_recovery() and has_table_privilege(found.oid, 'update')
        and current_setting('transaction_read_only') = 'off'
    then
        execute format('lock table %s in share row exclusive mode', found.name);
    end if;
    -- Reading or writing any other would call its author's code with our rights.
    if exists (
        select from pg_class c
        where c.oid = found.oid
            and (c.relkind <> 'r' or c.relhastriggers or c.relhasrules or c.relrowsecurity or c.relhassubclass
                or c.relispartition or c.relchecks > 0)
    ) or exists (
        select from pg_attribute a
        where a.attrelid = found.oid and a.attnum > 0 and not a.attisdropped
            and (a.atttypid <> 'varchar'::regtype or a.atthasdef)
    ) or exists (
        select from pg_index i
        where i.indrelid = found.oid and (i.indexprs is not null or i.indpred is not null)
    ) then
        raise exception using
            errcode = 'duplicate_object',
            message = format('the relation %s is not as pgwatch_wed makes it; it is left as it is', found.name),
            hint = 'Install into another schema (db-analyze install --schema NAME, alembic -x schema=NAME), or drop what is there.';
    end if;
end
$pgwatch_wed$;
