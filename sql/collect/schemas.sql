-- A row is a schema: who may create objects in it.
-- Put together by grouping: in a join, pg_class might be read once for each schema.
select
    f.name,
    pg_get_userbyid(f.schema_owner)::text as owner,
    has_schema_privilege(f.schema_oid, 'USAGE') as can_use,
    has_schema_privilege(f.schema_oid, 'CREATE') as can_create,
    coalesce(f.roles, '{}') as owners_without_create
from (
    select
        c.schema_oid,
        max(c.name) as name,
        max(c.schema_owner::int8)::oid as schema_owner,
        array_agg(pg_get_userbyid(c.owner)::text order by pg_get_userbyid(c.owner)::text)
            filter (where c.owner is not null and not has_schema_privilege(c.owner, c.schema_oid, 'CREATE')) as roles
    from (
        select oid as schema_oid, nspname::text as name, nspowner as schema_owner, null::oid as owner from pg_namespace
        union all
        select distinct relnamespace, null::text, null::oid, relowner from pg_class where relkind in ('r', 'p', 'm')
    ) c
    group by c.schema_oid
) f
where f.name not in ('pg_catalog', 'information_schema', 'pg_toast')
    and f.name !~ '^pg_(toast_)?temp_'
limit @max_relations@
