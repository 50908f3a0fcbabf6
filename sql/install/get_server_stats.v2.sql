create or replace function @schema@.get_server_stats()
returns table (
    metric text,
    value numeric,
    unit text,
    status text,
    detail text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $get_server_stats$
declare
    sees_all constant boolean := pg_has_role('pg_read_all_stats', 'usage');
    blind constant text := 'this role cannot see other sessions: it needs GRANT pg_monitor';
    statements constant text := (
        select quote_ident(n.nspname) from pg_extension e
        join pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'pg_stat_statements');
    columns constant text[] := (
        select p.proargnames from pg_extension e
        join pg_proc p on p.pronamespace = e.extnamespace and p.proname = 'pg_stat_statements'
        where e.extname = 'pg_stat_statements');
    -- the time of statements inside functions is included in that of their callers
    outermost constant text := case when 'toplevel' = any (columns) then 'p.toplevel' else 'true' end;
    -- as in get_slow_queries()
    without_tools constant text := $tools$
            -- Left out: our own statements, and those that read nothing but catalogs, as psql's backslash
            -- commands, drivers and monitoring tools do.
            and (s.query is null or not (
                s.query ~* $pattern$\mpgwatch_wed|\m(get_(table|index|statement|cache|lock|server)_stats|get_slow_queries|index_usage_stats|wedsync_performance_summary)\M|^\s*show\M$pattern$
                or (
                    s.query ~* $pattern$^(\s|/\*.*?\*/|--[^\n]*\n)*(select|with)\M$pattern$
                    and s.query !~* $pattern$\m(insert\s+into|delete\s+from|merge\s+into|update\s+\S+\s+set)\M$pattern$
                    and coalesce(
                        (
                            select bool_and(
                                x.found[1] ~* $pattern$^"?(pg_catalog"?\s*\.|information_schema"?\s*\.|([\w$]+"?\s*\.\s*"?)?pg_stat_|pg_)$pattern$
                                    and not exists (
                                        select from pg_class c
                                        where starts_with(c.relname::text, 'pg_')
                                            and c.relname::text = lower(btrim(x.found[1], '" '))
                                            and c.relkind in ('r', 'p', 'v', 'm', 'f')
                                            and c.relnamespace <> 'pg_catalog'::regnamespace
                                            and not exists (
                                                select from pg_depend d
                                                where d.classid = 'pg_class'::regclass
                                                    and d.objid = c.oid and d.deptype = 'e'))
                                -- a name that WITH gives
                                or s.query ~* ($pattern$\m$pattern$ || btrim(x.found[1], '" ') || $pattern$"?\s*(\([^()]*\)\s*)?as\s+((not\s+)?materialized\s+)?\($pattern$))
                            from regexp_matches(
                                regexp_replace(s.query, $pattern$\m(extract|substring|trim|overlay)\s*\([^()]*\mfrom\M|\mdistinct\s+from\M$pattern$, ' ', 'gi'),
                                $pattern$\m(?:from|join)\s+(?:only\s+)?(?!lateral\M|\(|[\w.]+\s*\()((?:"?[\w$]+"?\s*\.\s*)?"?[\w$]+"?)$pattern$,
                                'gi') x (found)
                        ),
                        s.query ~* $pattern$^(\s|/\*.*?\*/|--[^\n]*\n)*select\s+((pg_catalog\.)?pg_(?!try_advisory|advisory|sleep|notify|logical_emit|column_|typeof)\w+\s*\(|pg_catalog\.(?!pg_)\w+\s*\(|\$\d+::\s*pg_catalog\.reg)$pattern$))))
$tools$;
    since timestamptz;
    probe record;
begin
    begin
        -- see get_index_stats() for why these times tell when counting began
        execute $query$
            select coalesce(
                d.stats_reset,
                least(
                    (select b.stats_reset from pg_stat_bgwriter b),
                    (select a.stats_reset from pg_stat_archiver a),
                    (select min(l.stats_reset) from pg_stat_slru l)))
            from pg_stat_database d where d.datname = current_database()
            $query$ into since;
    exception when undefined_table or undefined_column then
        since := null;
    end;

    for probe in
        select * from (values
        ('counters_age', 'days', null,
            $query$
            select
                round((extract(epoch from now() - $1) / 86400)::numeric, 1),
                case when $1 is null then 'unknown' when now() - $1 < interval '1 day' then 'info'
                    else 'ok' end,
                case when $1 is null then 'unknown when counting began'
                    else format('counting began at %s', to_char($1, 'YYYY-MM-DD HH24:MI:SS TZ')) end
            $query$),
        ('connections', '%', null,
            $query$
            with room as (
                select
                    current_setting('max_connections')::int
                    - current_setting('superuser_reserved_connections')::int
                    - coalesce(current_setting('reserved_connections', true)::int, 0) as places
            ),
            used as (
                select
                    count(*) as all_of,
                    count(*) filter (where a.state = 'active') as active,
                    count(*) filter (where a.state = 'idle') as idle,
                    count(*) filter (where starts_with(a.state, 'idle in transaction')) as in_xact
                from pg_stat_activity a where a.backend_type = 'client backend'
            )
            select
                round(100.0 * u.all_of / r.places, 1),
                case when u.all_of >= 0.95 * r.places then 'critical'
                    when u.all_of >= 0.85 * r.places then 'warning'
                    when u.all_of >= 0.70 * r.places then 'info' else 'ok' end,
                format('%s of %s connections: %s active, %s idle, %s idle in transaction',
                    u.all_of, r.places, u.active, u.idle, u.in_xact)
            from room r cross join used u
            $query$),
        ('longest_transaction', 's', blind,
            $query$
            select
                coalesce(round(max(extract(epoch from clock_timestamp() - a.xact_start))::numeric, 1), 0),
                case max(extract(epoch from clock_timestamp() - a.xact_start)) >= 300
                    when true then case
                        when max(clock_timestamp() - a.xact_start) >= interval '1 day' then 'critical'
                        when max(clock_timestamp() - a.xact_start) >= interval '1 hour' then 'warning'
                        else 'info' end
                    else 'ok' end,
                coalesce((array_agg(
                    format('pid %s, %s in %s, %s', a.pid, a.usename, a.datname, a.state)
                    order by a.xact_start))[1], 'no transaction is open')
            from pg_stat_activity a
            where a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
                and a.xact_start is not null
            $query$),
        ('idle_in_transaction', 's', blind,
            $query$
            select
                coalesce(round(max(extract(epoch from clock_timestamp() - a.state_change))::numeric, 1), 0),
                case max(clock_timestamp() - a.state_change) >= interval '1 minute'
                    when true then case
                        when max(clock_timestamp() - a.state_change) >= interval '1 hour' then 'critical'
                        when max(clock_timestamp() - a.state_change) >= interval '5 minutes' then 'warning'
                        else 'info' end
                    else 'ok' end,
                coalesce((array_agg(
                    format('longest of %s: pid %s, %s in %s', a.sessions, a.pid, a.usename, a.datname)
                    order by a.state_change))[1], 'no session is idle in a transaction')
            from (
                select i.*, count(*) over () as sessions from pg_stat_activity i
                where starts_with(i.state, 'idle in transaction')
            ) a
            $query$),
        ('prepared_transactions', 'count', null,
            $query$
            select
                count(*)::numeric,
                case when min(x.prepared) < now() - interval '1 day' then 'critical'
                    when min(x.prepared) < now() - interval '1 hour' then 'warning'
                    when count(*) > 0 then 'info' else 'ok' end,
                coalesce((array_agg(
                    format('oldest: %s by %s in %s', x.gid, x.owner, x.database)
                    order by x.prepared))[1], 'no transaction is prepared')
            from pg_prepared_xacts x
            $query$),
        ('wraparound', 'transactions', null,
            $query$
            select
                age(d.datfrozenxid)::numeric,
                case when age(d.datfrozenxid) >= least(4 * limits.freeze, 1600000000) then 'critical'
                    when age(d.datfrozenxid) >= 2 * limits.freeze then 'warning' else 'ok' end,
                format('%s%% of the limit of 2^31, %s%% of autovacuum_freeze_max_age; oldest database: %s',
                    round(age(d.datfrozenxid) * 100.0 / 2147483648, 1),
                    round(age(d.datfrozenxid) * 100.0 / limits.freeze), d.datname)
            from pg_database d
            cross join (
                select current_setting('autovacuum_freeze_max_age')::bigint as freeze
            ) limits
            order by age(d.datfrozenxid) desc limit 1
            $query$),
        ('multixact_wraparound', 'multixacts', null,
            $query$
            select
                mxid_age(d.datminmxid)::numeric,
                case when mxid_age(d.datminmxid) >= least(4 * limits.freeze, 1600000000)
                        then 'critical'
                    when mxid_age(d.datminmxid) >= 2 * limits.freeze then 'warning' else 'ok' end,
                format('%s%% of the limit of 2^31; oldest database: %s',
                    round(mxid_age(d.datminmxid) * 100.0 / 2147483648, 1), d.datname)
            from pg_database d
            cross join (
                select current_setting('autovacuum_multixact_freeze_max_age')::bigint as freeze
            ) limits
            where d.datminmxid <> '0'
            order by mxid_age(d.datminmxid) desc limit 1
            $query$),
        ('slow_queries', 'count', null,
            case when statements is null then
                $query$
                select null::numeric, 'unknown',
                    'requires pg_stat_statements: add it to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements'
                $query$
            else format(
                $query$
                select
                    count(*)::numeric,
                    case when count(*) filter (where s.mean >= 5000 and s.calls >= 10) > 0
                        then 'warning' when count(*) > 0 then 'info' else 'ok' end,
                    case when count(*) > 0 then format(
                        'mean time at least 100 ms; the slowest takes %%s ms; SELECT * FROM get_slow_queries(100)',
                        round(max(s.mean)::numeric, 1)) else 'no statement takes 100 ms on average' end
                from (
                    select p.query, p.%2$I as mean, p.calls
                    from %1$s.pg_stat_statements((
                        -- texts are read only if there is a slow statement
                        select coalesce(bool_or(a.%2$I >= 100), false)
                        from %1$s.pg_stat_statements(false) a
                        where a.dbid = (
                            select d.oid from pg_database d where d.datname = current_database())
                    )) p
                    where p.dbid = (
                        select d.oid from pg_database d where d.datname = current_database())
                ) s
                where s.mean >= 100
                %3$s
                $query$,
                statements, case when 'mean_time' = any (columns) then 'mean_time' else 'mean_exec_time' end,
                without_tools)
            end),
        ('mean_query_time', 'ms', null,
            case when statements is null then
                $query$
                select null::numeric, 'unknown',
                    'requires pg_stat_statements: add it to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements'
                $query$
            else format(
                $query$
                select
                    round((sum(s.total) / nullif(sum(s.calls), 0))::numeric, 3),
                    case when sum(s.calls) is null then 'unknown'
                        when sum(s.total) >= 5000 * sum(s.calls) then 'critical'
                        when sum(s.total) >= 200 * sum(s.calls) then 'warning'
                        when sum(s.total) >= 50 * sum(s.calls) then 'info' else 'ok' end,
                    case when sum(s.calls) is null then 'no statement has been counted'
                        else format('%%s calls of %%s statements', sum(s.calls), count(*)) end
                from (
                    select p.query, p.%2$I as total, p.calls
                    from %1$s.pg_stat_statements((
                        -- texts are read only if that may make a difference
                        select coalesce(sum(p.%2$I) >= 50 * sum(p.calls), false)
                        from %1$s.pg_stat_statements(false) p
                        where p.dbid = (
                                select d.oid from pg_database d where d.datname = current_database())
                            and %3$s
                    )) p
                    where p.dbid = (
                        select d.oid from pg_database d where d.datname = current_database())
                        and %3$s
                ) s
                where true
                %4$s
                $query$,
                statements,
                case when 'total_time' = any (columns) then 'total_time' else 'total_exec_time' end,
                outermost, without_tools)
            end),
        ('temp_files', 'bytes/h', null,
            $query$
            select
                round((d.temp_bytes / window_.hours)::numeric),
                case when $1 is null then 'unknown'
                    when d.temp_bytes / window_.hours >= 5 * 1073741824.0 then 'warning'
                    when d.temp_bytes / window_.hours >= 1073741824.0 then 'info' else 'ok' end,
                format('files: %s, size: %s, in %s days', d.temp_files, pg_size_pretty(d.temp_bytes),
                    round((window_.hours / 24)::numeric, 1))
            from pg_stat_database d
            cross join (
                select greatest(extract(epoch from now() - $1) / 3600, 1) as hours
            ) window_
            where d.datname = current_database()
            $query$),
        ('deadlocks', '1/day', null,
            $query$
            select
                round((d.deadlocks / window_.days)::numeric, 2),
                case when $1 is null then 'unknown'
                    when d.deadlocks / window_.days >= 5 then 'warning'
                    when d.deadlocks > 0 then 'info' else 'ok' end,
                format('%s in %s days', d.deadlocks, round(window_.days::numeric, 1))
            from pg_stat_database d
            cross join (
                select greatest(extract(epoch from now() - $1) / 86400, 1) as days
            ) window_
            where d.datname = current_database()
            $query$),
        ('checksum_failures', 'count', null,
            $query$
            select
                d.checksum_failures::numeric,
                case when d.checksum_failures is null then 'unknown'
                    when d.checksum_failures > 0 then 'critical' else 'ok' end,
                case when d.checksum_failures is null then 'data checksums are off'
                    when d.checksum_failures > 0 then format('last at %s: the storage returned wrong data',
                        to_char(d.checksum_last_failure, 'YYYY-MM-DD HH24:MI:SS TZ'))
                    else 'no checksum failure' end
            from pg_stat_database d where d.datname = current_database()
            $query$),
        ('checkpoints_requested', '%', null,
            format(
                $query$
                select
                    round(100.0 * c.asked / nullif(c.asked + c.timed, 0), 1),
                    case when c.asked + c.timed < 20 then 'unknown'
                        when c.asked > c.timed then 'warning'
                        when c.asked * 4 > c.timed then 'info' else 'ok' end,
                    format('%%s of %%s checkpoints were requested (WAL reached max_wal_size, a base backup, or CHECKPOINT)%%s',
                        c.asked, c.asked + c.timed,
                        case when c.asked + c.timed < 20 then '; too few to evaluate' end)
                from (select %s from %s) c
                $query$,
                case when current_setting('server_version_num')::int >= 170000
                    then 'num_requested as asked, num_timed as timed'
                    else 'checkpoints_req as asked, checkpoints_timed as timed' end,
                case when current_setting('server_version_num')::int >= 170000
                    then 'pg_stat_checkpointer' else 'pg_stat_bgwriter' end)),
        ('wal_archiving', 's', null,
            $query$
            select
                case when current_setting('archive_mode') <> 'off' then coalesce(round(case
                    when a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
                    then extract(epoch from now() - coalesce(a.last_archived_time, a.stats_reset))
                    end::numeric, 0), 0) end,
                case when current_setting('archive_mode') = 'off' then 'ok'
                    when a.last_failed_time > coalesce(a.last_archived_time, '-infinity') then
                        case when now() - coalesce(a.last_archived_time, a.stats_reset)
                            > interval '1 hour' then 'critical' else 'warning' end
                    else 'ok' end,
                case when current_setting('archive_mode') = 'off' then 'archive_mode is off'
                    when a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
                    then format('archiving fails for %s, so WAL accumulates', a.last_failed_wal)
                    else format('%s segments archived', a.archived_count) end
            from pg_stat_archiver a
            $query$),
        ('replication_lag', 'bytes', blind,
            $query$
            select
                coalesce(max(r.lag), 0),
                case when max(r.lag) >= 10 * 1073741824.0 then 'warning'
                    when max(r.lag) >= 1073741824.0 then 'info' else 'ok' end,
                coalesce((array_agg(
                    format('connected standbys and subscribers: %s; furthest behind: %s, %s', r.streams,
                        coalesce(nullif(r.application_name, ''), r.pid::text), pg_size_pretty(r.lag))
                    order by r.lag desc nulls last))[1], 'no standby or subscriber is connected')
            from (
                select
                    s.*,
                    count(*) over () as streams,
                    pg_wal_lsn_diff(
                        case when pg_is_in_recovery() then pg_last_wal_receive_lsn()
                            else pg_current_wal_lsn() end,
                        coalesce(s.replay_lsn, s.flush_lsn, s.sent_lsn)) as lag
                from pg_stat_replication s
            ) r
            $query$),
        ('standby_delay', 's', null,
            $query$
            select
                case when pg_is_in_recovery() then
                    case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
                        else round(extract(epoch from now() - pg_last_xact_replay_timestamp())::numeric, 1)
                        end end,
                case when not pg_is_in_recovery()
                        or pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 'ok'
                    when pg_last_xact_replay_timestamp() is null then 'unknown'
                    when now() - pg_last_xact_replay_timestamp() >= interval '1 hour' then 'warning'
                    when now() - pg_last_xact_replay_timestamp() >= interval '1 minute' then 'info'
                    else 'ok' end,
                case when not pg_is_in_recovery() then 'this server is a primary'
                    else 'behind the primary' end
            $query$),
        ('replication_slots', 'bytes', null,
            $query$
            select
                coalesce(max(greatest(r.kept, 0)), 0),
                case when bool_or(r.wal_status = 'unreserved') then 'critical'
                    when bool_or(r.wal_status = 'lost') then 'warning'
                    when bool_or(not r.active and r.kept >= 1073741824.0) then 'warning'
                    when bool_or(not r.active or r.kept >= 1073741824.0) then 'info' else 'ok' end,
                coalesce((array_agg(
                    format('%s slots, %s of them inactive; most WAL is retained for %s: %s%s', r.slots, r.inactive,
                        r.slot_name, pg_size_pretty(greatest(r.kept, 0)),
                        case when r.wal_status in ('unreserved', 'lost')
                            then ', ' || r.wal_status end)
                    order by r.wal_status in ('unreserved', 'lost') desc, r.kept desc nulls last))[1],
                    'no replication slots')
            from (
                select
                    s.slot_name,
                    s.active,
                    s.wal_status,
                    count(*) over () as slots,
                    count(*) filter (where not s.active) over () as inactive,
                    pg_wal_lsn_diff(
                        case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                            else pg_current_wal_lsn() end,
                        s.restart_lsn) as kept
                from pg_replication_slots s
            ) r
            $query$)
        ) q (name, unit, needs_all, query)
    loop
        metric := probe.name;
        unit := probe.unit;
        if probe.needs_all is not null and not sees_all then
            value := null;
            status := 'unknown';
            detail := probe.needs_all;
        else
            begin
                execute '/* pgwatch_wed */ ' || probe.query into value, status, detail using since;
            exception
                -- If a server lacks a view, column or function, or this role may not use it, only this
                -- metric is unknown.
                when undefined_table or undefined_column or undefined_function
                    or insufficient_privilege or feature_not_supported
                    or object_not_in_prerequisite_state then
                value := null;
                status := 'unknown';
                detail := sqlerrm;
            when character_not_in_repertoire or untranslatable_character then
                value := null;
                status := 'unknown';
                detail := 'a statement''s text is not valid in the encoding of this database';
            end;
        end if;
        return next;
    end loop;
end
$get_server_stats$;

comment on function @schema@.get_server_stats() is
$comment$One row per metric of the server and this database: those in wedsync_performance_summary that are not derived from tables, indexes, cache or locks.

metric, value, unit: the value is NULL if it is unknown or does not apply
status: ok; info: good to know; warning: needs attention; critical: act now; unknown: cannot be evaluated; detail says why
detail: what the value is based on

Installed by pgwatch_wed: get_server_stats v2.$comment$;
