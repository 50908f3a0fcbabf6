-- A row is what ANALYZE collected about a column, for a role that may read pg_statistic: pg_stats hides tables with row-level security.
select
    c.oid::int8 as table_oid,
    a.attnum::int as attnum,
    s.stainherit as is_inherited,
    s.stanullfrac::float8 as null_fraction,
    s.stawidth::int as avg_width,
    s.stadistinct::float8 as n_distinct,
    (case 3
        when s.stakind1 then s.stanumbers1 when s.stakind2 then s.stanumbers2 when s.stakind3 then s.stanumbers3
        when s.stakind4 then s.stanumbers4 when s.stakind5 then s.stanumbers5
    end)[1]::float8 as correlation,
    m.most_common_freqs[1]::float8 as mcv_top_fraction,
    (select sum(f)::float8 from unnest(m.most_common_freqs) f) as mcv_fraction,
    coalesce(cardinality(m.most_common_freqs), 0)::int as mcv_count,
    2 in (s.stakind1, s.stakind2, s.stakind3, s.stakind4, s.stakind5) as has_histogram
from pg_statistic s
join pg_class c on c.oid = s.starelid
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = s.starelid and a.attnum = s.staattnum and not a.attisdropped
cross join lateral (
    select case 1
        when s.stakind1 then s.stanumbers1 when s.stakind2 then s.stanumbers2 when s.stakind3 then s.stanumbers3
        when s.stakind4 then s.stanumbers4 when s.stakind5 then s.stanumbers5
    end as most_common_freqs
) m
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
    and c.relkind in ('r', 'p', 'm', 'i')
    -- corrupted or incorrectly restored statistics count as missing
    and s.stanullfrac between 0 and 1
    and s.stadistinct between -1 and 1e15
    and s.stawidth >= 0
limit @max_columns@
