-- A row is one of a thousand places in the order of a column, with the value that is there; nulls come last.
(
    with @sampled@, ranked as (
        select
            value,
            is_common,
            sum(share) over (order by value rows unbounded preceding) as upto,
            share,
            sum(share) over () as total
        from sampled
        where share > 0
    )
    select (step * @stride@) % 1000 as place, value, is_common
    from
        ranked,
        generate_series(
            ceil(1000 * (upto - share) / total - 0.5)::int4, ceil(1000 * upto / total - 0.5)::int4 - 1
        ) as step
)
