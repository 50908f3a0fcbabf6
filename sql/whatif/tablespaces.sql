-- A row is a tablespace with costs of its own, and the relations in it; the database's own has those that name none.
select
    t.spcname::text as name,
    t.oid = d.dattablespace as is_default,
    array(select o from unnest(t.spcoptions) o where strpos(o, '_page_cost=') > 0) as options,
    array(
        select array[n.nspname::text, c.relname::text, c.relkind::text]
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.reltablespace = t.oid and c.relkind in ('r', 'm', 'i') and c.relpersistence <> 't'
            and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    ) as relations
from pg_tablespace t
join pg_database d on d.datname = current_database()
where exists (select from unnest(t.spcoptions) o where strpos(o, '_page_cost=') > 0)
