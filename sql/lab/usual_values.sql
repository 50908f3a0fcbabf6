-- A row is the statistics on a column's values: the most common with their shares, and the histogram's bounds.
select
    most_common_vals::text::text[] as common,
    most_common_freqs::float8[] as shares,
    histogram_bounds::text::text[] as bounds
from pg_stats
where schemaname = %(schema)s and tablename = %(table)s and attname = %(column)s
order by inherited desc
limit 1
