-- A row is a schema: who may create objects in it.
select
    n.nspname::text as name,
    coalesce(o.rolname::text, n.nspowner::text) as owner,
    has_schema_privilege(n.oid, 'USAGE') as can_use,
    has_schema_privilege(n.oid, 'CREATE') as can_create,
    coalesce(f.roles, '{}') as owners_without_create
from pg_namespace n
left join pg_roles o on o.oid = n.nspowner
left join (
    select c.relnamespace, array_agg(r.rolname::text order by r.rolname) as roles
    from (select distinct relnamespace, relowner from pg_class where relkind in ('r', 'p', 'm')) c
    join pg_roles r on r.oid = c.relowner
    where not has_schema_privilege(c.relowner, c.relnamespace, 'CREATE')
    group by c.relnamespace
) f on f.relnamespace = n.oid
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
limit @max_relations@
