-- A row is a CHECK constraint of a domain, with the columns that have the domain as their type.
select
    k.oid::int8 as oid,
    n.nspname::text as schema,
    t.typname::text as domain,
    k.conname::text as name,
    k.convalidated as is_validated,
    u.table_oids, u.columns
from pg_constraint k
join pg_type t on t.oid = k.contypid
join pg_namespace n on n.oid = t.typnamespace
cross join lateral (
    select
        coalesce(array_agg(a.attrelid::int8 order by a.attrelid, a.attnum), '{}') as table_oids,
        coalesce(array_agg(a.attnum::int order by a.attrelid, a.attnum), '{}') as columns
    from pg_depend d
    join pg_attribute a on a.attrelid = d.objid and a.attnum = d.objsubid and not a.attisdropped
    where d.refclassid = 'pg_type'::regclass and d.refobjid = t.oid and d.classid = 'pg_class'::regclass and d.objsubid > 0
) u
where k.contypid <> 0
    and not k.convalidated
    and n.nspname not in ('pg_catalog', 'information_schema')
order by 2, 3, 4
limit @max_constraints@
