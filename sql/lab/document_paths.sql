-- A row is the path to a value that most documents in the statistics of a column have, without data.
-- With it, what all its values are, NULL if not the same, and the share of those that are the same short string.
with recursive documents as (
    select row_number() over () as number, v.value::jsonb as document
    from pg_stats s
    cross join lateral unnest(
        coalesce(s.most_common_vals::text::text[], '{}') || coalesce(s.histogram_bounds::text::text[], '{}')
    ) v (value)
    where s.schemaname = %(schema)s and s.tablename = %(table)s and s.attname = %(column)s
), walked as (
    select number, '{}'::text[] as path, document as value
    from documents
    union all
    select w.number, w.path || k.key, k.value
    from walked w
    cross join lateral jsonb_each(case when jsonb_typeof(w.value) = 'object' then w.value else '{}' end) k
    where cardinality(w.path) < 3
)
select path, case
    when bool_and(kind in ('number', 'whole number')) then min(kind)
    when count(distinct kind) = 1 then min(kind)
end as kind, coalesce(max(same) / count(*)::float8, 0) as common_share
from (
    select path, case
        when jsonb_typeof(value) = 'string' and length(value #>> '{}') <= 40
            then count(*) over (partition by path, value)
    end as same, case
        when jsonb_typeof(value) = 'null' then null
        when jsonb_typeof(value) <> 'number' then jsonb_typeof(value)
        when trunc(value::numeric) = value::numeric then 'whole number'
        else 'number'
    end as kind
    from walked
    where cardinality(path) > 0 and jsonb_typeof(value) <> 'object'
) found
group by path
having count(*) * 2 >= (select count(*) from documents)
order by cardinality(path), count(*) desc, path
limit 24
