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
    blind constant text := 'this role does not see other sessions: GRANT pg_monitor TO it';
    statements constant text := (
        select quote_ident(n.nspname) from pg_extension e
        join pg_namespace n on n.oid = e.extnamespace
        where e.extname = 'pg_stat_statements');
    columns constant text[] := (
        select p.proargnames from pg_extension e
        join pg_proc p on p.pronamespace = e.extnamespace and p.proname = 'pg_stat_statements'
        where e.extname = 'pg_stat_statements');
    -- what runs inside functions is in their own time already
    outermost constant text := case when 'toplevel' = any (columns) then 'p.toplevel' else 'true' end;
    since timestamptz;
    probe record;
begin
    begin
        -- see get_index_stats() for why these times tell since when counters count
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
                case when $1 is null then 'the server does not tell'
                    else format('counters since %s', to_char($1, 'YYYY-MM-DD HH24:MI:SS TZ')) end
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
                format('%s of %s places: %s active, %s idle, %s idle in transaction',
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
                    order by x.prepared))[1], 'none is prepared')
            from pg_prepared_xacts x
            $query$),
        ('wraparound', 'transactions', null,
            $query$
            select
                age(d.datfrozenxid)::numeric,
                case when age(d.datfrozenxid) >= least(4 * limits.freeze, 1600000000) then 'critical'
                    when age(d.datfrozenxid) >= 2 * limits.freeze then 'warning' else 'ok' end,
                format('%s%% of the 2^31 at which the server stops, %s%% of autovacuum_freeze_max_age; oldest database: %s',
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
                format('%s%% of the 2^31 at which the server stops; oldest database: %s',
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
                    'needs pg_stat_statements: add it to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements'
                $query$
            else format(
                $query$
                select
                    count(*)::numeric,
                    case when count(*) filter (where s.mean >= 5000 and s.calls >= 10) > 0
                        then 'warning' when count(*) > 0 then 'info' else 'ok' end,
                    case when count(*) > 0 then format(
                        'statements at 100 ms or more in mean, slowest %%s ms; SELECT * FROM get_slow_queries(100)',
                        round(max(s.mean)::numeric, 1)) else 'no statement takes 100 ms in mean' end
                from (
                    select p.%2$I as mean, p.calls from %1$s.pg_stat_statements(false) p
                    where p.dbid = (
                        select d.oid from pg_database d where d.datname = current_database())
                ) s
                where s.mean >= 100
                $query$,
                statements, case when 'mean_time' = any (columns) then 'mean_time' else 'mean_exec_time' end)
            end),
        ('mean_query_time', 'ms', null,
            case when statements is null then
                $query$
                select null::numeric, 'unknown',
                    'needs pg_stat_statements: add it to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements'
                $query$
            else format(
                $query$
                select
                    round((sum(s.total) / nullif(sum(s.calls), 0))::numeric, 3),
                    case when sum(s.calls) is null then 'unknown'
                        when sum(s.total) >= 5000 * sum(s.calls) then 'critical'
                        when sum(s.total) >= 200 * sum(s.calls) then 'warning'
                        when sum(s.total) >= 50 * sum(s.calls) then 'info' else 'ok' end,
                    format('over %%s calls of %%s statements', coalesce(sum(s.calls), 0), count(*))
                from (
                    select p.%2$I as total, p.calls from %1$s.pg_stat_statements(false) p
                    where p.dbid = (
                        select d.oid from pg_database d where d.datname = current_database())
                        and %3$s
                ) s
                $query$,
                statements,
                case when 'total_time' = any (columns) then 'total_time' else 'total_exec_time' end,
                outermost)
            end),
        ('temp_files', 'bytes/h', null,
            $query$
            select
                round((d.temp_bytes / window_.hours)::numeric),
                case when $1 is null then 'unknown'
                    when d.temp_bytes / window_.hours >= 5 * 1073741824.0 then 'warning'
                    when d.temp_bytes / window_.hours >= 1073741824.0 then 'info' else 'ok' end,
                format('%s files, %s in %s days', d.temp_files, pg_size_pretty(d.temp_bytes),
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
                    when d.checksum_failures > 0 then format('last at %s: a disk or its driver returns wrong data',
                        to_char(d.checksum_last_failure, 'YYYY-MM-DD HH24:MI:SS TZ'))
                    else 'no block failed its checksum' end
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
                    format('%%s of %%s checkpoints were requested: by a small max_wal_size, base backups or CHECKPOINT%%s',
                        c.asked, c.asked + c.timed,
                        case when c.asked + c.timed < 20 then '; too few to judge' end)
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
                    then format('the archive command fails on %s; WAL piles up', a.last_failed_wal)
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
                    format('%s standbys and subscribers; furthest behind: %s, %s', r.streams,
                        coalesce(nullif(r.application_name, ''), r.pid::text), pg_size_pretty(r.lag))
                    order by r.lag desc nulls last))[1], 'nothing streams from this server')
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
                    else 'behind what its primary has committed' end
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
                    format('%s slots, %s inactive; most WAL is kept for %s: %s%s', r.slots, r.inactive,
                        r.slot_name, pg_size_pretty(greatest(r.kept, 0)),
                        case when r.wal_status in ('unreserved', 'lost')
                            then ', ' || r.wal_status end)
                    order by r.wal_status in ('unreserved', 'lost') desc, r.kept desc nulls last))[1],
                    'there is no slot')
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
                -- A server that lacks a view, column or function, or keeps it from this role, costs
                -- this one metric.
                when undefined_table or undefined_column or undefined_function
                    or insufficient_privilege or feature_not_supported
                    or object_not_in_prerequisite_state then
                value := null;
                status := 'unknown';
                detail := sqlerrm;
            end;
        end if;
        return next;
    end loop;
end
$get_server_stats$;

comment on function @schema@.get_server_stats() is
$comment$One row a metric of the server and this database: what wedsync_performance_summary shows besides its sums over tables, indexes, cache and locks.

metric, value, unit: NULL where it cannot be known
status: ok; info: good to know; warning: to be looked at; critical: act now; unknown: cannot be judged, detail says why
detail: what the value stands on

Installed by pgwatch_wed: get_server_stats v1.$comment$;
