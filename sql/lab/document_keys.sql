-- A row is a key that most documents in the statistics of a column have, with a plain value: a name, not data.
with documents as (
    select v.value::jsonb as document
    from pg_stats s
    cross join lateral unnest(
        coalesce(s.most_common_vals::text::text[], '{}') || coalesce(s.histogram_bounds::text::text[], '{}')
    ) v (value)
    where s.schemaname = %(schema)s and s.tablename = %(table)s and s.attname = %(column)s
)
select k.key
from documents d
cross join lateral jsonb_each(case when jsonb_typeof(d.document) = 'object' then d.document else '{}' end) k
where jsonb_typeof(k.value) in ('string', 'number', 'boolean')
group by k.key
having count(*) * 2 >= (select count(*) from documents)
order by count(*) desc, k.key
limit 6
