-- A row is what statistics say of a column's values: the most common, a histogram's bounds, the share of rows that the common have.
select
    most_common_vals::text::text[] as common,
    histogram_bounds::text::text[] as bounds,
    coalesce((select sum(f) from unnest(most_common_freqs) f), 0)::float8 as common_share
from pg_catalog.pg_stats
where schemaname = %(schema)s and tablename = %(table)s and attname = %(column)s
order by inherited desc
limit 1
