-- From values by place: sampled, one row per combination, its share of the table's rows, and whether all of its values are common ones.
sampled as (
    select @columns@, count(*) / 1000.0::float8 as share, @are_common@ as is_common
    from @places@
    group by @columns@, is_common
)
