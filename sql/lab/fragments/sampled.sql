-- From a column's statistics: sampled, one row per value, its share of the table's rows, and whether that share was counted.
found as (
    select
        s.null_frac,
        s.most_common_freqs::float8[] as shares,
        s.most_common_vals::text::text[] as common,
        s.histogram_bounds::text::text[] as bounds,
        greatest(0, 1 - s.null_frac - coalesce((select sum(x) from unnest(s.most_common_freqs) x), 0)) as rest
    from pg_stats s
    where s.schemaname = @schema@ and s.tablename = @table@ and s.attname = @column@
    order by s.inherited = @is_parent@ desc
    limit 1
), sampled (value, share, is_common) as (
    select value::@type@, share, true
    from found, unnest(common, shares) u (value, share)
    union all
    @rest@
    union all
    select null, null_frac, false
    from found
    where null_frac > 0
)
