-- A row is what ANALYZE counted in the arrays or tsvectors of a column: the shares of the most common elements, elements per row, and their mean length.
select
    s.most_common_elem_freqs::float8[] as frequencies,
    s.elem_count_histogram::float8[] as counts,
    (select avg(octet_length(e))::float8 from unnest(s.most_common_elems::text::text[]) e) as width
from pg_stats s
where s.schemaname = %(schema)s and s.tablename = %(table)s and s.attname = %(column)s
    and s.most_common_elem_freqs is not null
order by s.inherited = %(is_parent)s desc
limit 1
