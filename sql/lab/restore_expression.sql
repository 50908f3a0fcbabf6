-- A row is a column of a table of samples that got the statistics of an expression.
select pg_restore_attribute_stats(
    'schemaname', pg_my_temp_schema()::regnamespace::text,
    'relname', %(table)s::text,
    'attname', %(column)s::text,
    'inherited', false,
    'null_frac', %(null_frac)s::real,
    'avg_width', %(avg_width)s::int,
    'n_distinct', %(n_distinct)s::real,
    'correlation', %(correlation)s::real,
    'most_common_vals', %(common)s::text,
    'most_common_freqs', %(shares)s::real[],
    'histogram_bounds', %(bounds)s::text,
    'most_common_elems', %(elements)s::text,
    'most_common_elem_freqs', %(element_shares)s::real[],
    'elem_count_histogram', %(counts)s::real[]
) as is_restored
