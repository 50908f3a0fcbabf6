-- A row is a column of one table with a histogram of times: the first and the last value that ANALYZE saw, and the histogram's bounds, in seconds.
with found as (
    select distinct on (a.attname)
        a.attname as name,
        b.typname as type,
        s.most_common_vals::text::text[] as common,
        s.histogram_bounds::text::text[] as bounds
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_type t on t.oid = a.atttypid
    join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
    join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
    where
        n.nspname = %(schema)s
        and c.relname = %(table)s
        and b.typname in ('date', 'timestamp', 'timestamptz')
        and s.histogram_bounds is not null
    order by a.attname, s.inherited = %(is_parent)s desc
), valued as (
    select name, type, value, place, is_bound
    from found, lateral (
        select value, place, true as is_bound from unnest(bounds) with ordinality u (value, place)
        union all
        select value, place, false from unnest(common) with ordinality u (value, place)
    ) v
    where value not in ('infinity', '-infinity')
), timed as (
    select
        name,
        place,
        is_bound,
        case type
            when 'date' then (value::date - date '1970-01-01') * 86400.0
            when 'timestamp' then extract(epoch from value::timestamp)
            else extract(epoch from value::timestamptz)
        end::float8 as at
    from valued
)
select
    name,
    min(at) as first,
    max(at) as last,
    array_agg(at order by place) filter (where is_bound) as bounds
from timed
group by name
having count(*) filter (where is_bound) > 1
order by name
