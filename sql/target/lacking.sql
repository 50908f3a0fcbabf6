-- A row is a GRANT that this role lacks for what a query reads: on a schema, a relation or a function, also of a view.
with wanted as (
    select n.oid as schema, n.nspname, w.relation, w.function, w.arguments
    from unnest(@schemas@::text[], @relations@::text[], @functions@::text[], @arguments@::int[])
        as w (schema, relation, function, arguments)
    join pg_namespace n on n.nspname = w.schema
), relations as (
    select distinct c.oid, w.nspname, c.relname, c.relkind
    from wanted w
    join pg_class c on c.relnamespace = w.schema and c.relname = w.relation
), functions as (
    select p.oid, w.nspname
    from wanted w
    join pg_proc p on p.pronamespace = w.schema and p.proname = w.function
    where w.arguments between p.pronargs - p.pronargdefaults and p.pronargs
    union
    -- a view calls functions as the role that reads it
    select p.oid, n.nspname
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    join relations r on r.relkind = 'v' and pg_get_viewdef(r.oid) ~ ('\m' || p.proname || '\(')
    where not has_function_privilege(p.oid, 'EXECUTE') and p.proname ~ '^\w+$'
)
select distinct format('GRANT USAGE ON SCHEMA %I TO %I;', w.nspname, current_user) as statement, w.nspname::text as schema, 1 as place
from wanted w
where not has_schema_privilege(w.schema, 'USAGE')
union all
select format('GRANT SELECT ON %I.%I TO %I;', r.nspname, r.relname, current_user), r.nspname::text, 2
from relations r
where not has_any_column_privilege(r.oid, 'SELECT')
union all
select
    format('GRANT EXECUTE ON FUNCTION %I.%I(%s) TO %I;', f.nspname, p.proname, oidvectortypes(p.proargtypes), current_user),
    f.nspname::text, 3
from functions f
join pg_proc p on p.oid = f.oid
where not has_function_privilege(p.oid, 'EXECUTE')
order by 3, 1
