-- A row is the statistics on a column's values: the most common, the histogram's bounds, and the share of rows with common values.
select
    most_common_vals::text::text[] as common,
    histogram_bounds::text::text[] as bounds,
    coalesce((select sum(f) from unnest(most_common_freqs) f), 0)::float8 as common_share
from pg_catalog.pg_stats
where schemaname = %(schema)s and tablename = %(table)s and attname = %(column)s
order by inherited desc
limit 1
