-- A row is a value interpolated between two bounds of a column's histogram.
select @between@ as value, share / 30, false
from (
    select
        value::@type@ as lo,
        lead(value::@type@) over (order by place) as hi,
        rest / nullif(count(*) over () - 1, 0) as share
    from found, unnest(bounds) with ordinality u (value, place)
) bins, generate_series(1, 30) k, lateral (select (k * 0.61803398875 - floor(k * 0.61803398875)) as f) x
where hi is not null
