-- A row is what ANALYZE collected about a column, without any of its values.
select
    c.oid::int8 as table_oid,
    a.attnum::int as attnum,
    s.inherited as is_inherited,
    s.null_frac::float8 as null_fraction,
    s.avg_width::int as avg_width,
    s.n_distinct::float8 as n_distinct,
    s.correlation::float8 as correlation,
    s.most_common_freqs[1]::float8 as mcv_top_fraction,
    (select sum(f)::float8 from unnest(s.most_common_freqs) f) as mcv_fraction,
    coalesce(cardinality(s.most_common_freqs), 0)::int as mcv_count,
    s.histogram_bounds is not null as has_histogram
from pg_stats s
join pg_namespace n on n.nspname = s.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = s.tablename
join pg_attribute a on a.attrelid = c.oid and a.attname = s.attname
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
    and c.relkind in ('r', 'p', 'm', 'i')
    -- corrupted or incorrectly restored statistics count as missing
    and s.null_frac between 0 and 1
    and s.n_distinct between -1 and 1e15
    and s.avg_width >= 0
limit @max_columns@
