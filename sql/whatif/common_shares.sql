-- A row is a column of one table with the shares of its most common values.
select distinct on (s.attname)
    s.attname as name,
    s.most_common_freqs::float8[] as shares
from pg_stats s
where s.schemaname = %(schema)s and s.tablename = %(table)s and s.most_common_freqs is not null
order by s.attname, s.inherited = %(is_parent)s desc
