-- A row is a result of an expression over its columns' sampled values: its size, number of values, share of rows, number of common values.
with @sampled@, results as (
    select
        result,
        max(size) as size,
        count(*) as times,
        sum(share)::float8 as share,
        count(*) filter (where is_common) as common
    from (select @columns@, share, is_common from sampled) as @alias@,
        lateral (select (@expression@) as result) pgwatch_wed_evaluated,
        lateral pg_column_size(result) as size  -- computed before sorting, which would give it a short header
    group by result
)
select
    result::text as value,
    size,
    times,
    share,
    common,
    pg_typeof(result)::oid::int8 as type
from results
order by result
