-- A row is a constraint of a user table; NOT NULL ones (18+) only while they are not validated.
select
    k.oid::int8 as oid,
    n.nspname::text as schema,
    k.conname::text as name,
    k.conrelid::int8 as table_oid,
    k.contype::text as kind,
    coalesce(k.conkey::int[], '{}') as columns,
    nullif(k.confrelid, 0)::int8 as referenced_oid,
    coalesce(k.confkey::int[], '{}') as referenced_columns,
    trim(k.confdeltype::text) as on_delete,
    trim(k.confupdtype::text) as on_update,
    trim(k.confmatchtype::text) as match,
    k.convalidated as is_validated,
    true as is_enforced,
    k.condeferrable as is_deferrable,
    nullif(k.conindid, 0)::int8 as index_oid,
    nullif(k.conparentid, 0)::int8 as parent_oid,
    k.condeferred as is_deferred
from pg_constraint k
join pg_class c on c.oid = k.conrelid
join pg_namespace n on n.oid = c.relnamespace
where k.contype in ('p', 'u', 'f', 'x', 'c')
    and c.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
order by k.oid
limit @max_constraints@
