-- A row is a column of a user table, with its type's storage and its statistics.
select
    a.attrelid::int8 as table_oid,
    a.attname as name,
    a.attnum as number,
    format_type(a.atttypid, a.atttypmod) as type_name,
    b.typname as base_type,
    b.typcategory::text as category,
    a.attlen as type_length,
    a.attalign::text as alignment,
    a.attnotnull as is_not_null,
    a.attgenerated = 'v' as is_virtual,
    s.avg_width,
    s.null_frac,
    s.n_distinct,
    s.correlation,
    array_length(s.histogram_bounds, 1) - 1 as bins,
    s.avg_width is null or s.most_common_vals is not null or s.histogram_bounds is not null as has_values,
    @deduplicates@ as deduplicates
from pg_attribute a
join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'm')
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
left join lateral (
    select *
    from pg_stats s
    where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
    order by s.inherited = (c.relkind = 'p') desc
    limit 1
) s on true
where a.attnum > 0 and not a.attisdropped
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
