-- A row is a column of one table with a histogram of texts or of paths in a tree: its bounds, the most common values, and their shares.
select distinct on (a.attname)
    a.attname as name,
    array(
        select left(u.value, 200) from unnest(s.histogram_bounds::text::text[]) with ordinality u (value, place) order by u.place
    ) as bounds,
    coalesce(
        array(
            select left(u.value, 200) from unnest(s.most_common_vals::text::text[]) with ordinality u (value, place)
            order by u.place
        ),
        '{}'
    ) as common,
    coalesce(s.most_common_freqs::float8[], '{}') as shares
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
where
    n.nspname = %(schema)s
    and c.relname = %(table)s
    and b.typname in ('text', 'varchar', 'ltree')
    and s.histogram_bounds is not null
order by a.attname, s.inherited = %(is_parent)s desc
