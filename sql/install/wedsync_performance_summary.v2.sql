create or replace view @schema@.wedsync_performance_summary as
with tables as materialized (
    select
        t.kind,
        t.total_bytes,
        t.dead_bytes,
        t.vacuum_status,
        t.vacuum_reason,
        t.analyze_status,
        t.analyze_reason,
        t.has_statistics,
        t.autovacuum_status,
        t.autovacuum_enabled,
        quote_ident(t.schemaname) || '.' || quote_ident(t.relname) as name
    from @schema@.get_table_stats() t
    where t.kind <> 'partitioned table'
),
indexes as materialized (
    select
        u.status,
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
        c.blks_hit || ' blocks from shared buffers, ' || c.blks_read || ' read'
            || case when c.blks_hit + c.blks_read < 50000 then '; too few to evaluate' else '' end as detail
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
        case when count(*) = 0 then 'no session is waiting for a lock' else
            concat('longest wait ', coalesce(date_trunc('seconds', max(l.waited))::text, 'unknown'),
                ', root blockers: pid ',
                string_agg(l.pid::text, ', ' order by l.pid) filter (where l.depth = 0),
                '; SELECT * FROM get_lock_stats()') end as detail
    from @schema@.get_lock_stats() l
    union all
    select
        f.place,
        f.metric,
        case when f.status <> 'unknown' then f.alarms end as value,
        'count' as unit,
        f.status,
        case
            when f.status = 'ok' then f.calm
            when f.status = 'unknown' then f.doubt
            else f.cause
        end as detail
    from (
        select
            k.place,
            k.metric,
            k.calm,
            count(*) filter (where k.status in ('warning', 'info')) as alarms,
            case
                when bool_or(k.status = 'warning') then 'warning'
                when bool_or(k.status = 'info') then 'info'
                when bool_or(k.status = 'unknown') then 'unknown'
                else 'ok'
            end as status,
            (array_agg(t.name || ': ' || k.reason order by k.status <> 'warning', k.size desc nulls last, t.name)
                filter (where k.status in ('warning', 'info')))[1] as cause,
            (array_agg(t.name || ': ' || k.reason order by k.size desc nulls last, t.name)
                filter (where k.status = 'unknown'))[1] as doubt
        from (values (null::text)) nothing (name)
        left join tables t on true
        cross join lateral (
            values
                (203, 'tables_with_dead_tuples', t.vacuum_status, t.vacuum_reason, t.dead_bytes,
                    'no table has more dead rows than autovacuum should leave'),
                (204, 'autovacuum_overdue', case when t.autovacuum_enabled then t.vacuum_status end,
                    t.vacuum_reason, t.dead_bytes, 'autovacuum is not late for any table'),
                (206, 'never_analyzed',
                    case when t.has_statistics is false
                            or t.has_statistics is null and t.analyze_status = 'unknown'
                        then t.analyze_status end,
                    t.analyze_reason, t.total_bytes, 'every table with 1,000 rows has statistics'),
                (207, 'outdated_statistics', case when t.has_statistics then t.analyze_status end,
                    t.analyze_reason, t.total_bytes, 'no table is overdue for ANALYZE')
        ) k (place, metric, status, reason, size, calm)
        group by k.place, k.metric, k.calm
    ) f
    union all
    select
        205 as place,
        'autovacuum_disabled' as metric,
        case when f.is_off then f.tables else f.disabled end as value,
        'count' as unit,
        case
            when f.is_off then case when f.is_needed then 'critical' else 'warning' end
            when f.is_warning then 'warning'
            when f.disabled > 0 then 'info'
            else 'ok'
        end as status,
        case
            when f.is_off then 'autovacuum or track_counts is off for the whole server'
            else coalesce('largest: ' || f.largest, 'autovacuum is on for every table')
        end as detail
    from (
        select
            not (current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean) as is_off,
            count(*) as tables,
            count(*) filter (where t.autovacuum_status <> 'ok') as disabled,
            coalesce(bool_or(t.vacuum_status in ('info', 'warning')), false) as is_needed,
            coalesce(bool_or(t.autovacuum_status = 'warning'), false) as is_warning,
            (array_agg(t.name order by t.autovacuum_status <> 'warning', t.total_bytes desc nulls last, t.name)
                filter (where t.autovacuum_status <> 'ok'))[1] as largest
        from tables t
    ) f
    union all
    select
        208 as place,
        'unused_indexes' as metric,
        case when f.status <> 'unknown' then f.unused end as value,
        'count' as unit,
        f.status,
        case
            when f.unused > 0 then pg_size_pretty(f.size) || ', largest: ' || f.largest
                || '; SELECT * FROM index_usage_stats'
            when f.early > 0 then 'too early for ' || f.early || ' of ' || f.indexes || ' indexes; SELECT * FROM index_usage_stats'
            else 'no index of 100 kB or more is unused'
        end as detail
    from (
        select
            count(*) as indexes,
            count(*) filter (where i.status in ('info', 'warning')) as unused,
            count(*) filter (where i.status = 'unknown') as early,
            sum(i.size_bytes) filter (where i.status in ('info', 'warning')) as size,
            (array_agg(i.name order by i.size_bytes desc, i.name)
                filter (where i.status in ('info', 'warning')))[1] as largest,
            case
                when bool_or(i.status = 'warning') then 'warning'
                when bool_or(i.status = 'info') then 'info'
                when bool_or(i.status = 'unknown') then 'unknown'
                else 'ok'
            end as status
        from indexes i
    ) f
    union all
    select
        209 as place,
        'invalid_indexes' as metric,
        count(*) as value,
        'count' as unit,
        case when count(*) > 0 then 'warning' else 'ok' end,
        coalesce(
            'left behind by a failed CREATE INDEX or REINDEX CONCURRENTLY: '
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
order by
    case m.status when 'critical' then 1 when 'warning' then 2 when 'info' then 3 when 'unknown' then 4
        else 5 end,
    m.place;

comment on view @schema@.wedsync_performance_summary is
$comment$One row per metric of the server and this database, with a status; the worst first.

Installed by pgwatch_wed: wedsync_performance_summary v2.$comment$;
comment on column @schema@.wedsync_performance_summary.metric is 'what is measured';
comment on column @schema@.wedsync_performance_summary.value is 'the number, in unit; NULL if it is unknown or does not apply';
comment on column @schema@.wedsync_performance_summary.unit is
'%, s, ms, days, count, bytes, bytes/h, 1/day, transactions or multixacts';
comment on column @schema@.wedsync_performance_summary.status is
'ok; info: good to know; warning: needs attention; critical: act now; unknown: cannot be evaluated; detail says why';
comment on column @schema@.wedsync_performance_summary.detail is 'what the value is based on, or why it is unknown';
