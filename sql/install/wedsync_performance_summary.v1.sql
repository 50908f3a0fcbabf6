create or replace view @schema@.wedsync_performance_summary as
with tables as materialized (
    select
        t.kind,
        t.n_live_tup,
        t.n_dead_tup,
        t.total_bytes,
        t.last_analyze,
        t.last_autoanalyze,
        t.n_mod_since_analyze,
        t.autovacuum_enabled,
        t.vacuum_threshold,
        t.vacuum_distance,
        quote_ident(t.schemaname) || '.' || quote_ident(t.relname) as name
    from @schema@.get_table_stats() t
),
indexes as materialized (
    select
        u.usage_status,
        u.size_bytes,
        u.is_valid or u.is_building or u.is_partitioned as is_sound,
        quote_ident(u.schemaname) || '.' || quote_ident(u.indexrelname) as name
    from @schema@.index_usage_stats u
),
metrics (place, metric, value, unit, status, detail) as (
    select s.place, s.metric, s.value, s.unit, s.status, s.detail
    from @schema@.get_server_stats() with ordinality s (metric, value, unit, status, detail, place)
    union all
    select
        201 as place,
        'cache_hit_ratio' as metric,
        round(100 * c.hit_ratio, 2) as value,
        '%' as unit,
        case
            when c.blks_hit + c.blks_read < 50000 then 'unknown'
            when c.hit_ratio < 0.9 then 'info'
            else 'ok'
        end as status,
        c.blks_hit || ' blocks from shared buffers, ' || c.blks_read || ' from outside'
            || case when c.blks_hit + c.blks_read < 50000 then '; too few to judge' else '' end as detail
    from @schema@.get_cache_stats() c
    where c.kind = 'database'
    union all
    select
        202 as place,
        'blocked_sessions' as metric,
        count(*) filter (where l.locktype is not null) as value,
        'count' as unit,
        case
            when max(l.waited) >= interval '5 minutes' then 'critical'
            when max(l.waited) >= interval '30 seconds' then 'warning'
            when count(*) > 0 then 'info'
            else 'ok'
        end as status,
        case when count(*) = 0 then 'nobody waits for a lock' else
            concat('longest wait ', coalesce(date_trunc('seconds', max(l.waited))::text, 'unknown'),
                ', root blockers: pid ',
                string_agg(l.pid::text, ', ' order by l.pid) filter (where l.depth = 0),
                '; SELECT * FROM get_lock_stats()') end as detail
    from @schema@.get_lock_stats() l
    union all
    select
        203 as place,
        'tables_with_dead_tuples' as metric,
        count(*) as value,
        'count' as unit,
        case
            when bool_or(t.n_dead_tup > t.n_live_tup and t.n_dead_tup >= 100000) then 'warning'
            when count(*) > 0 then 'info'
            else 'ok'
        end as status,
        coalesce(
            'more than 20% dead: '
            || (array_agg(t.name || ' with ' || t.n_dead_tup || ' dead, ' || t.n_live_tup || ' live'
                order by t.n_dead_tup desc))[1],
            'no table has 1000 dead tuples and more than 20%') as detail
    from tables t
    where t.n_dead_tup > t.n_live_tup * 0.2 and t.n_dead_tup >= 1000
    union all
    select
        204 as place,
        'autovacuum_overdue' as metric,
        count(*) as value,
        'count' as unit,
        case
            when bool_or(t.n_dead_tup > 2 * t.vacuum_threshold and t.n_dead_tup >= 100000) then 'warning'
            when count(*) > 0 then 'info'
            else 'ok'
        end as status,
        coalesce(
            'past their own trigger: '
            || (array_agg(t.name || ', ' || t.n_dead_tup || ' dead of ' || t.vacuum_threshold
                order by t.vacuum_distance))[1],
            'no table waits for autovacuum') as detail
    from tables t
    where t.vacuum_distance < 0
    union all
    select
        205 as place,
        'autovacuum_disabled' as metric,
        count(*) as value,
        'count' as unit,
        case when count(*) > 0 then 'warning' else 'ok' end,
        coalesce(
            'largest: '
            || (array_agg(t.name order by t.total_bytes desc nulls last, t.name))[1],
            'autovacuum works on every table') as detail
    from tables t
    where not t.autovacuum_enabled and t.kind <> 'partitioned table'
    union all
    select
        206 as place,
        'never_analyzed' as metric,
        count(*) as value,
        'count' as unit,
        case when count(*) > 0 then 'info' else 'ok' end,
        coalesce(
            'no statistics for the planner, most rows: '
            || (array_agg(t.name order by t.n_live_tup desc, t.name))[1],
            'every table with 1000 rows has been analyzed') as detail
    from tables t
    where t.n_live_tup >= 1000 and t.last_analyze is null and t.last_autoanalyze is null
        and t.n_mod_since_analyze >= t.n_live_tup
    union all
    select
        207 as place,
        'unused_indexes' as metric,
        case when bool_and(i.usage_status in ('TOO_EARLY', 'CONSTRAINT', 'USED'))
            and bool_or(i.usage_status = 'TOO_EARLY')
            then null else count(*) filter (where i.usage_status = 'UNUSED') end as value,
        'count' as unit,
        case
            when count(*) filter (where i.usage_status = 'UNUSED') > 0 then 'info'
            when bool_or(i.usage_status = 'TOO_EARLY') then 'unknown'
            else 'ok'
        end as status,
        pg_size_pretty(coalesce(sum(i.size_bytes) filter (where i.usage_status = 'UNUSED'), 0))
            || ' without a scan in the window'
            || case when bool_or(i.usage_status = 'TOO_EARLY')
                then ', ' || count(*) filter (where i.usage_status = 'TOO_EARLY')
                    || ' too early to say' else '' end
            || '; see index_usage_stats' as detail
    from indexes i
    union all
    select
        208 as place,
        'invalid_indexes' as metric,
        count(*) as value,
        'count' as unit,
        case when count(*) > 0 then 'warning' else 'ok' end,
        coalesce(
            'left by a failed CREATE or REINDEX CONCURRENTLY: '
            || (array_agg(i.name order by i.name))[1],
            'every index is valid') as detail
    from indexes i
    where not i.is_sound
)
select
    m.metric,
    m.value::numeric as value,
    m.unit,
    m.status,
    m.detail
from metrics m
order by m.place;

comment on view @schema@.wedsync_performance_summary is
$comment$One row a metric of the server and this database, with a judgement.

Installed by pgwatch_wed: wedsync_performance_summary v1.$comment$;
comment on column @schema@.wedsync_performance_summary.metric is 'what is measured';
comment on column @schema@.wedsync_performance_summary.value is 'the number, in unit; NULL where it cannot be known';
comment on column @schema@.wedsync_performance_summary.unit is
'%, s, ms, days, count, bytes, bytes/h, 1/day, transactions or multixacts';
comment on column @schema@.wedsync_performance_summary.status is
'ok; info: good to know; warning: to be looked at; critical: act now; unknown: cannot be judged, detail says why';
comment on column @schema@.wedsync_performance_summary.detail is 'what the value stands on, or why it is not known';
