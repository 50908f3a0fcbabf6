-- A row is a key of an index that got statistics.
select pg_restore_attribute_stats(
    'schemaname', n.nspname::text,
    'relname', c.relname::text,
    'attnum', %(number)s::int2,
    'inherited', false,
    'null_frac', %(null_fraction)s::real,
    'avg_width', %(width)s::int,
    'n_distinct', %(distinct)s::real,
    'most_common_vals', %(common)s::text[]::text,
    'most_common_freqs', %(shares)s::real[],
    'histogram_bounds', %(bounds)s::text[]::text,
    'range_bounds_histogram', %(ranges)s::text[]::text,
    'most_common_elems', %(words)s::text[]::text,
    'most_common_elem_freqs', %(word_shares)s::real[]
) as is_restored
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.oid = %(index)s
