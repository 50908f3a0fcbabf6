-- A row is a size of the stored values in a column of one table, and the share of rows with that size.
with found as (
    select
        a.attname as name,
        b.typname as type,
        s.null_frac,
        s.most_common_freqs as shares,
        s.most_common_vals::text::text[] as common,
        s.histogram_bounds::text::text[] as bounds
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_type t on t.oid = a.atttypid
    join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
    join lateral (
        select *
        from pg_stats s
        where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
        order by s.inherited = (c.relkind = 'p') desc
        limit 1
    ) s on true
    -- the size of texts is their length, that of numbers is computed by the server; that of other types is not known from text
    where a.attrelid = %(table_oid)s and b.typname in ('text', 'varchar', 'bpchar', 'numeric')
), valued as (
    select name, type, value, share::float8 as share
    from found, unnest(common, shares) u (value, share)
    union all
    -- a histogram's outermost bounds represent half a bin
    select
        name,
        type,
        value,
        greatest(0, 1 - null_frac - coalesce((select sum(x) from unnest(shares) x), 0))
        * case when place in (1, cardinality(bounds)) then 0.5 else 1 end
        / nullif(cardinality(bounds) - 1, 0)
    from found, unnest(bounds) with ordinality u (value, place)
)
select name, size, sum(share)::float8 as share
from valued, lateral (
    -- values in statistics have a header of four bytes, stored ones a header of one byte
    select greatest(
        1,
        case type when 'numeric' then pg_column_size(value::numeric) else octet_length(value) + 4 end - 3
    ) as size
) x
group by name, size
order by name, size
