-- A row is a live column of a user table.
select
    a.attrelid::int8 as table_oid,
    a.attnum::int as attnum,
    a.attname::text as name,
    a.atttypid::int8 as type_oid,
    format_type(a.atttypid, a.atttypmod) as type,
    coalesce(e.typname, b.typname, t.typname)::text as base_type,
    a.attlen::int as length,
    a.attalign::text as type_align,
    a.attstorage::text as type_storage,
    t.typcategory::text as type_category,
    a.attnotnull as is_not_null,
    a.attidentity::text as identity,
    a.attgenerated::text as generated,
    a.atthasdef as has_default,
    a.attcollation::int8 as collation_oid,
    nullif(a.attstattarget, -1)::int as statistics_target,
    (select split_part(o, '=', 2) from unnest(a.attoptions) o where o like 'n_distinct=%') as n_distinct_option
from pg_attribute a
join (
    select c.oid
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm')
        and c.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        and n.nspname !~ '^pg_(toast_)?temp_'
    order by c.relpages desc, c.oid
    limit @max_relations@
) c on c.oid = a.attrelid
join pg_type t on t.oid = a.atttypid
left join pg_type b on b.oid = t.typbasetype and t.typbasetype <> 0
-- a domain over a domain
left join pg_type e on e.oid = b.typbasetype and b.typbasetype <> 0
where a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
