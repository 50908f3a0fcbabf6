create or replace function @schema@.get_table_stats()
returns table (
    schemaname name,
    relname name,
    kind text,
    n_live_tup bigint,
    n_dead_tup bigint,
    dead_ratio numeric,
    total_bytes bigint,
    heap_bytes bigint,
    toast_bytes bigint,
    index_bytes bigint,
    n_mod_since_analyze bigint,
    n_ins_since_vacuum bigint,
    seq_scan bigint,
    seq_tup_read bigint,
    idx_scan bigint,
    idx_tup_fetch bigint,
    last_seq_scan timestamptz,
    last_idx_scan timestamptz,
    n_tup_ins bigint,
    n_tup_upd bigint,
    n_tup_del bigint,
    n_tup_hot_upd bigint,
    hot_ratio numeric,
    last_vacuum timestamptz,
    last_autovacuum timestamptz,
    last_analyze timestamptz,
    last_autoanalyze timestamptz,
    vacuum_count bigint,
    autovacuum_count bigint,
    analyze_count bigint,
    autoanalyze_count bigint,
    xid_age bigint,
    mxid_age bigint,
    autovacuum_enabled boolean,
    autovacuum_due text,
    vacuum_threshold bigint,
    vacuum_distance bigint,
    insert_threshold bigint,
    insert_distance bigint,
    analyze_threshold bigint,
    analyze_distance bigint,
    freeze_distance bigint,
    toast_n_dead_tup bigint,
    dead_bytes bigint,
    vacuum_status text,
    vacuum_reason text,
    analyze_status text,
    analyze_reason text,
    has_statistics boolean,
    autovacuum_status text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $get_table_stats$
declare
    stats constant name[] := (
        select array_agg(a.attname) from pg_attribute a
        where a.attrelid = 'pg_catalog.pg_stat_all_tables'::regclass and a.attnum > 0);
    classes constant name[] := (
        select array_agg(a.attname) from pg_attribute a
        where a.attrelid = 'pg_catalog.pg_class'::regclass and a.attnum > 0);
    database_made timestamptz;
begin
    -- The counters of a database are no older than its files, whose time some roles may read.
    if coalesce(has_function_privilege(to_regprocedure('pg_stat_file(text,boolean)'), 'execute'), false)
    then
        begin
            execute $query$
                select s.modification
                from pg_database d,
                    lateral pg_stat_file('base/' || d.oid || '/PG_VERSION', true) s
                where d.datname = current_database()
                $query$ into database_made;
        exception when insufficient_privilege or undefined_file then
            null;
        end;
    end if;

    -- Everything is dynamic: no plan, view or column of the server is bound before it runs, and
    -- what this server lacks is NULL. Sizes come from relpages, so that no lock is waited for.
    return query execute format(
        $query$
        with /* pgwatch_wed */ guc as materialized (
            select
                current_setting('block_size')::bigint as block_size,
                current_setting('autovacuum')::boolean
                    and current_setting('track_counts')::boolean as is_on,
                current_setting('autovacuum_vacuum_threshold')::float8 as vac_base,
                current_setting('autovacuum_vacuum_scale_factor')::float8 as vac_factor,
                current_setting('autovacuum_vacuum_max_threshold', true)::float8 as vac_max,
                current_setting('autovacuum_vacuum_insert_threshold')::float8 as ins_base,
                current_setting('autovacuum_vacuum_insert_scale_factor')::float8 as ins_factor,
                current_setting('autovacuum_analyze_threshold')::float8 as ana_base,
                current_setting('autovacuum_analyze_scale_factor')::float8 as ana_factor,
                current_setting('autovacuum_freeze_max_age')::bigint as freeze_age,
                current_setting('autovacuum_multixact_freeze_max_age')::bigint as mxid_freeze_age,
                -- autovacuum has five naptimes to process a table; one if all workers are busy
                current_setting('autovacuum_naptime')::interval * case
                    when (select count(*) from pg_stat_activity a where a.backend_type = 'autovacuum worker')
                        >= current_setting('autovacuum_max_workers')::int then 1 else 5 end as patience,
                c.begins,
                coalesce($1 >= c.begins - interval '10 minutes', false) as counts_all
            from (
                -- see get_index_stats() for why these times tell when counting began
                select greatest($1, coalesce(
                    d.stats_reset,
                    least(
                        (select b.stats_reset from pg_stat_bgwriter b),
                        (select a.stats_reset from pg_stat_archiver a),
                        (select min(l.stats_reset) from pg_stat_slru l)))) as begins
                from pg_stat_database d
                where d.datname = current_database()
            ) c
        ),
        index_pages as (
            select i.indrelid, sum(c.relpages)::bigint as pages
            from pg_index i
            join pg_class c on c.oid = i.indexrelid
            group by i.indrelid
        ),
        facts as (
            select
                c.oid,
                n.nspname,
                c.relname,
                c.relkind,
                c.relispartition,
                c.relpersistence,
                c.relpages,
                c.reltuples,
                c.relallvisible,
                c.reloptions,
                c.relrowsecurity,
                g.block_size,
                g.is_on,
                g.patience,
                g.begins,
                g.counts_all,
                not coalesce(r.is_enabled, true) as is_off,
                t.oid as toast_oid,
                coalesce(t.relpages, 0) * g.block_size as toast_heap_bytes,
                not coalesce(case when t.reloptions is null then r.is_enabled else o.is_enabled end, true)
                    as is_toast_off,
                o.is_enabled = false as has_toast_off,
                case when t.reloptions is null then r.vac_base else o.vac_base end as toast_base,
                case when t.reloptions is null then r.vac_factor else o.vac_factor end as toast_factor,
                case when t.reloptions is null then r.vac_max else o.vac_max end as toast_max,
                g.vac_base as usual_base,
                g.vac_factor as usual_factor,
                g.vac_max as usual_max,
                greatest(t.reltuples, 0)::float8 as toast_rows,
                case when t.oid is not null then pg_stat_get_live_tuples(t.oid) end as toast_live,
                case when t.oid is not null then greatest(
                    pg_stat_get_last_vacuum_time(t.oid), pg_stat_get_last_autovacuum_time(t.oid))
                    end as toast_vacuumed_at,
                greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at,
                greatest(s.last_analyze, s.last_autoanalyze) as analyzed_at,
                -- 14 and later say -1 until the first VACUUM or ANALYZE: the size is not known
                case when c.reltuples >= 0 then greatest(c.relpages, 0) * g.block_size end
                    as heap_bytes,
                (coalesce(t.relpages, 0) + coalesce(ti.pages, 0)) * g.block_size as toast_bytes,
                coalesce(x.pages, 0) * g.block_size as index_bytes,
                greatest(c.reltuples, 0)::float8 as rows,
                case when c.relpages > 0
                    then 1 - least(%s, c.relpages)::float8 / c.relpages else 1 end as unfrozen,
                case when c.relfrozenxid <> '0'
                    then greatest(age(c.relfrozenxid),
                        case when t.relfrozenxid <> '0' then age(t.relfrozenxid) end)::bigint
                    end as xid_age,
                case when c.relminmxid <> '0'
                    then greatest(mxid_age(c.relminmxid),
                        case when t.relminmxid <> '0' then mxid_age(t.relminmxid) end)::bigint
                    end as mxid_age,
                g.is_on and coalesce(r.is_enabled, true) and c.relkind <> 'p' as is_enabled,
                coalesce(r.vac_base, g.vac_base) as vac_base,
                coalesce(r.vac_factor, g.vac_factor) as vac_factor,
                coalesce(r.vac_max, g.vac_max) as vac_max,
                coalesce(r.ins_base, g.ins_base) as ins_base,
                coalesce(r.ins_factor, g.ins_factor) as ins_factor,
                coalesce(r.ana_base, g.ana_base) as ana_base,
                coalesce(r.ana_factor, g.ana_factor) as ana_factor,
                least(g.freeze_age, r.freeze_age) as freeze_age,
                least(g.mxid_freeze_age, r.mxid_freeze_age) as mxid_freeze_age,
                s.n_live_tup,
                s.n_dead_tup,
                s.n_mod_since_analyze,
                s.n_ins_since_vacuum,
                s.seq_scan,
                s.seq_tup_read,
                s.idx_scan,
                s.idx_tup_fetch,
                %s as last_seq_scan,
                %s as last_idx_scan,
                s.n_tup_ins,
                s.n_tup_upd,
                s.n_tup_del,
                s.n_tup_hot_upd,
                s.last_vacuum,
                s.last_autovacuum,
                s.last_analyze,
                s.last_autoanalyze,
                s.vacuum_count,
                s.autovacuum_count,
                s.analyze_count,
                s.autoanalyze_count,
                case when t.oid is not null
                    then pg_stat_get_dead_tuples(t.oid) end as toast_n_dead_tup
            from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            cross join guc g
            left join pg_stat_all_tables s on s.relid = c.oid
            left join pg_class t on t.oid = c.reltoastrelid and c.reltoastrelid <> 0
            left join index_pages x on x.indrelid = c.oid
            left join index_pages ti on ti.indrelid = t.oid
            left join lateral (
                select
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_enabled')::boolean as is_enabled,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_vacuum_threshold')::float8 as vac_base,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_vacuum_scale_factor')::float8
                        as vac_factor,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_vacuum_max_threshold')::float8
                        as vac_max,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_vacuum_insert_threshold')::float8
                        as ins_base,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_vacuum_insert_scale_factor')::float8
                        as ins_factor,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_analyze_threshold')::float8 as ana_base,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_analyze_scale_factor')::float8
                        as ana_factor,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_freeze_max_age')::bigint
                        as freeze_age,
                    max(o.option_value) filter (
                        where o.option_name = 'autovacuum_multixact_freeze_max_age')::bigint
                        as mxid_freeze_age
                from pg_options_to_table(c.reloptions) o
            ) r on c.reloptions is not null
            left join lateral (
                select
                    max(x.option_value) filter (
                        where x.option_name = 'autovacuum_enabled')::boolean as is_enabled,
                    max(x.option_value) filter (
                        where x.option_name = 'autovacuum_vacuum_threshold')::float8 as vac_base,
                    max(x.option_value) filter (
                        where x.option_name = 'autovacuum_vacuum_scale_factor')::float8
                        as vac_factor,
                    max(x.option_value) filter (
                        where x.option_name = 'autovacuum_vacuum_max_threshold')::float8
                        as vac_max
                from pg_options_to_table(t.reloptions) x
            ) o on t.reloptions is not null
            where c.relkind in ('r', 'p', 'm')
                and c.relpersistence <> 't'
                and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
                and c.relname <> 'pgwatch_wed_alembic_version'
        ),
        triggers as (
            select
                f.*,
                case when f.vac_max >= 0
                    then least(f.vac_base + f.vac_factor * f.rows, f.vac_max)
                    else f.vac_base + f.vac_factor * f.rows end as own_trigger,
                case when coalesce(f.toast_max, f.usual_max) >= 0
                    then least(coalesce(f.toast_base, f.usual_base)
                        + coalesce(f.toast_factor, f.usual_factor) * f.toast_rows,
                        coalesce(f.toast_max, f.usual_max))
                    else coalesce(f.toast_base, f.usual_base)
                        + coalesce(f.toast_factor, f.usual_factor) * f.toast_rows end as toast_trigger,
                f.ana_base + f.ana_factor * f.rows as own_ana_trigger,
                case when f.is_enabled then floor(
                    case when f.vac_max >= 0
                        then least(f.vac_base + f.vac_factor * f.rows, f.vac_max)
                        else f.vac_base + f.vac_factor * f.rows end) end::bigint as vac_trigger,
                case when f.is_enabled and f.ins_base >= 0
                    then floor(f.ins_base + f.ins_factor * f.rows * f.unfrozen)
                    end::bigint as ins_trigger,
                case when f.is_enabled
                    then floor(f.ana_base + f.ana_factor * f.rows) end::bigint as ana_trigger,
                least(f.freeze_age - f.xid_age, f.mxid_freeze_age - f.mxid_age) as freeze_left
            from facts f
        ),
        -- A session reports its counts up to a second late, even after its own VACUUM and ANALYZE, which
        -- then counts again what was removed already. What follows is what the rules vacuum-dead-tuples,
        -- analyze-never, analyze-stale and vacuum-disabled do about it.
        sized as (
            select
                f.*,
                w.row_bytes,
                case
                    when f.vacuumed_at is null or f.reltuples <= 0 or f.n_dead_tup = 0 then false
                    when abs(f.n_tup_ins - f.n_tup_del - f.reltuples) <= 0.01 * f.reltuples
                        then f.n_live_tup < 0.9 * f.reltuples
                    else f.n_live_tup = 0 and least(f.n_dead_tup,
                            case when f.analyzed_at >= f.vacuumed_at then f.n_mod_since_analyze else 0 end)
                        > f.reltuples + f.n_ins_since_vacuum + f.n_tup_upd
                end as contradicts,
                -- how many rows the last VACUUM removed, by the space that it left free, if no other row was dead then
                case when f.relallvisible >= 0.9 * f.relpages and f.vacuumed_at is not null
                    then f.reltuples * greatest(f.relpages / greatest(ceil(f.reltuples / greatest(
                        case when w.is_fixed then floor(w.usable / w.width)
                            else (w.usable - w.width / 2) / w.width end, 1)), 1) - 1, 0)
                    end as removed,
                f.vacuum_count + f.autovacuum_count = 1 and f.counts_all as is_vacuumed_once
            from triggers f
            left join lateral (
                select
                    28 + sum(case when a.attlen > 0 then a.attlen
                        else coalesce(p.avg_width * (1 - p.null_frac), 32) end) as row_bytes,
                    -- header, line pointer, and the padding at the end
                    case when count(p.attname) = count(*) then
                        case when bool_and(a.attlen > 0 and p.null_frac = 0)
                            then ceil((24 + sum(a.attlen)) / 8.0) * 8 + 4
                            else 31.5 + sum((1 - p.null_frac)
                                * case when a.attlen > 0 then a.attlen else p.avg_width end) end
                        end as width,
                    bool_and(a.attlen > 0 and p.null_frac = 0) as is_fixed,
                    f.block_size * coalesce((
                        select max(y.option_value)::float8 / 100 from pg_options_to_table(f.reloptions) y
                        where y.option_name = 'fillfactor'), 1) - 24 as usable
                from pg_attribute a
                left join pg_stats p on p.schemaname = f.nspname and p.tablename = f.relname
                    and p.attname = a.attname and not p.inherited
                where a.attrelid = f.oid and a.attnum > 0 and not a.attisdropped
            ) w on f.n_dead_tup >= 1000 or f.is_off or f.has_toast_off
        ),
        counted as (
            select
                f.*,
                f.contradicts or coalesce(
                    not f.is_vacuumed_once and f.n_dead_tup > 0 and f.reltuples > 0
                        and now() - f.vacuumed_at <= interval '1 minute'
                        and f.removed >= 0.8 * f.n_dead_tup, false) as is_doubtful,
                -- greatest() ignores NULL
                case when f.is_vacuumed_once and f.removed is not null
                        and greatest(f.n_tup_upd + f.n_tup_del - trunc(f.removed), 0) < f.n_dead_tup / 2.0
                    then greatest(f.n_tup_upd + f.n_tup_del - trunc(f.removed), 0)::bigint
                    else f.n_dead_tup end as dead,
                -- counters that began after these rows were inserted know only the difference
                case when f.vacuumed_at is null and f.analyzed_at is null and f.n_tup_ins < f.reltuples
                    then greatest(f.reltuples + f.n_tup_ins - f.n_tup_del, f.n_live_tup)::bigint
                    else f.n_live_tup end as live,
                f.analyze_count + f.autoanalyze_count as analyze_times,
                f.is_on and not f.is_off as comes,
                f.is_on and not f.is_toast_off as comes_to_toast,
                f.n_tup_ins + f.n_tup_upd + f.n_tup_del - f.reltuples as most_changes,
                case when f.reltuples >= 0 or f.n_live_tup > 0 then greatest(f.reltuples, f.n_live_tup)
                    else f.seq_tup_read::float8 / nullif(f.seq_scan, 0) end as rows_seen,
                least(f.n_mod_since_analyze, f.n_ins_since_vacuum,
                    case when f.counts_all and f.reltuples > 0 then f.n_tup_ins - f.reltuples end) as inserted,
                f.begins > now() - interval '1 day' and not f.counts_all and f.relpages > 8
                    and f.vacuumed_at is null and f.analyzed_at is null as is_forgotten,
                exists (
                    select from pg_stat_progress_vacuum v
                    where v.relid = f.oid and v.datname = current_database()) as is_in_vacuum,
                exists (
                    select from pg_stat_progress_vacuum v
                    where v.relid = f.toast_oid and v.datname = current_database()) as is_toast_in_vacuum
            from sized f
        ),
        heaps as (
            select
                f.*,
                greatest(f.relpages * f.block_size,
                    case when f.relpages > 0 then greatest(f.reltuples, 0) + greatest(f.inserted, 0)
                        else f.n_live_tup + f.n_dead_tup end * least(f.row_bytes, 2000)) as size,
                greatest(f.toast_heap_bytes, case when f.toast_heap_bytes > 0 then f.toast_rows
                    else coalesce(f.toast_live + f.toast_n_dead_tup, 0) end * 2000) as toast_size,
                greatest(coalesce(greatest(f.vacuumed_at, f.last_autoanalyze), f.begins),
                    pg_postmaster_start_time()) as waits_since,
                greatest(coalesce(f.toast_vacuumed_at, f.begins), pg_postmaster_start_time())
                    as toast_waits_since,
                greatest(coalesce(greatest(f.analyzed_at, f.last_autovacuum), f.begins),
                    pg_postmaster_start_time()) as analyze_waits_since,
                case
                    when f.analyze_times = 0 or f.reltuples <= 0 or f.n_tup_ins < f.reltuples
                        then f.n_mod_since_analyze
                    when f.analyze_times = 1 and f.reltuples = f.n_tup_ins - f.n_tup_del
                        then least(f.n_mod_since_analyze, f.n_tup_upd,
                            case when f.dead < f.n_dead_tup and f.vacuumed_at <= f.analyzed_at
                                then f.dead end)
                    else least(f.n_mod_since_analyze, greatest(f.most_changes, 0)) end as changed,
                case
                    when f.relkind = 'p' or greatest(f.rows_seen, f.n_mod_since_analyze) < 1000 then 'small'
                    when f.reltuples >= 0 and (f.analyze_times > 0 or f.analyzed_at is not null) then 'analyzed'
                    when exists (
                        select from pg_stats p
                        where p.schemaname = f.nspname and p.tablename = f.relname and not p.inherited)
                        then 'analyzed'
                    when f.reltuples < 0 then 'never'
                    when has_table_privilege(f.oid, 'select')
                        and not (f.relrowsecurity and row_security_active(f.oid)) then 'never'
                    else 'hidden'
                end as statistics
            from counted f
        ),
        piles as (
            select
                f.*,
                case when f.n_dead_tup >= 1000 then least(f.size, f.dead * f.row_bytes)::bigint end as pile,
                least(f.toast_size, f.toast_n_dead_tup * 2000)::bigint as toast_pile,
                f.dead / greatest(f.own_trigger, 1) as times,
                f.toast_n_dead_tup / greatest(f.toast_trigger, 1) as toast_times,
                f.changed / greatest(f.own_ana_trigger, 1) as change_times
            from heaps f
        ),
        alarms as (
            select
                f.*,
                not f.is_doubtful and f.dead >= 1000 and f.dead > f.own_trigger and f.pile >= 100000
                    and not f.is_in_vacuum
                    and (not f.comes or coalesce(now() - f.waits_since >= f.patience, true)) as is_due,
                coalesce(f.toast_n_dead_tup >= 1000 and f.toast_n_dead_tup > f.toast_trigger
                    and f.toast_pile >= 100000 and not f.is_toast_in_vacuum
                    and (not f.comes_to_toast or coalesce(now() - f.toast_waits_since >= f.patience, true)),
                    false) as is_toast_due,
                f.changed >= 1000 and f.change_times > case when f.comes then 2 else 1 end
                    and (not f.comes or coalesce(now() - f.analyze_waits_since >= f.patience, true))
                    as is_stale
            from piles f
        ),
        stated as (
            select
                f.*,
                f.is_toast_due and (not f.is_due or f.toast_pile > f.pile) as is_about_toast,
                case
                    when f.relkind = 'p' then null
                    when pg_is_in_recovery() then 'unknown'
                    when f.is_toast_due and (not f.is_due or f.toast_pile > f.pile) then
                        case when f.toast_pile >= 1000000 and (not f.comes_to_toast
                            or f.toast_vacuumed_at is not null and f.toast_times >= 2)
                            then 'warning' else 'info' end
                    when f.is_due then
                        case when f.pile >= 1000000 and (not f.comes
                            or f.times >= 2 and coalesce(f.vacuumed_at, f.last_autoanalyze) is not null)
                            then 'warning' else 'info' end
                    when f.is_doubtful and f.n_dead_tup > greatest(f.own_trigger, 1000) then 'unknown'
                    when f.is_forgotten then 'unknown'
                    else 'ok'
                end as vacuum_status,
                case
                    when f.relkind = 'p' then null
                    when pg_is_in_recovery() then 'unknown'
                    when f.statistics = 'never' and f.rows_seen >= 1000 then
                        case when f.comes and f.n_mod_since_analyze > f.own_ana_trigger
                            then 'info' else 'warning' end
                    when f.is_stale and f.is_doubtful then 'unknown'
                    when f.is_stale and f.statistics <> 'never' then
                        case when greatest(f.reltuples, f.n_live_tup) >= 1000 and (not f.comes
                            or f.change_times >= 10
                                and coalesce(f.analyzed_at, f.last_autovacuum) is not null)
                            then 'warning' else 'info' end
                    when f.statistics = 'hidden' and f.rows_seen >= 1000 then 'unknown'
                    when f.is_forgotten then 'unknown'
                    else 'ok'
                end as analyze_status
            from alarms f
        )
        select
            f.nspname,
            f.relname,
            case f.relkind
                when 'm' then 'materialized view'
                when 'p' then 'partitioned table'
                else case when f.relispartition then 'partition' else 'table' end end,
            f.live,
            case when not f.is_doubtful then f.dead end,
            case when not f.is_doubtful
                then round(f.dead::numeric / nullif(f.live + f.dead, 0), 4) end,
            f.heap_bytes + f.toast_bytes + f.index_bytes,
            f.heap_bytes,
            f.toast_bytes,
            f.index_bytes,
            f.n_mod_since_analyze,
            f.n_ins_since_vacuum,
            f.seq_scan,
            f.seq_tup_read,
            f.idx_scan,
            f.idx_tup_fetch,
            f.last_seq_scan,
            f.last_idx_scan,
            f.n_tup_ins,
            f.n_tup_upd,
            f.n_tup_del,
            f.n_tup_hot_upd,
            round(f.n_tup_hot_upd::numeric / nullif(f.n_tup_upd, 0), 4),
            f.last_vacuum,
            f.last_autovacuum,
            f.last_analyze,
            f.last_autoanalyze,
            f.vacuum_count,
            f.autovacuum_count,
            f.analyze_count,
            f.autoanalyze_count,
            f.xid_age,
            f.mxid_age,
            f.is_enabled,
            nullif(concat_ws(', ',
                case when f.n_dead_tup > f.vac_trigger then 'vacuum' end,
                case when f.n_ins_since_vacuum > f.ins_trigger then 'insert vacuum' end,
                case when f.n_mod_since_analyze > f.ana_trigger then 'analyze' end,
                case when f.freeze_left < 0 then 'freeze' end), ''),
            f.vac_trigger,
            case when not f.is_doubtful then f.vac_trigger - f.dead end,
            f.ins_trigger,
            f.ins_trigger - f.n_ins_since_vacuum,
            f.ana_trigger,
            f.ana_trigger - f.n_mod_since_analyze,
            f.freeze_left,
            f.toast_n_dead_tup,
            case when f.is_about_toast then f.toast_pile when not f.is_doubtful then f.pile end,
            f.vacuum_status,
            case
                when f.relkind = 'p' then null
                when pg_is_in_recovery() then 'this server is a standby: see the primary'
                when f.vacuum_status = 'unknown' and f.is_doubtful then
                    'the counts contradict each other; VACUUM in another session counts again'
                when f.vacuum_status = 'unknown' then
                    'counted only since ' || to_char(f.begins, 'YYYY-MM-DD HH24:MI TZ') || '; ANALYZE counts again'
                when f.vacuum_status <> 'ok' then format('%%s%%s dead rows, %%s times the autovacuum trigger; %%s',
                    case when f.is_about_toast then 'in the TOAST table: ' else '' end,
                    to_char(case when f.is_about_toast then f.toast_n_dead_tup else f.dead end, 'FM999,999,999,999,990'),
                    round(case when f.is_about_toast then f.toast_times else f.times end::numeric, 1),
                    case
                        when not f.is_on then 'autovacuum is off for the whole server'
                        when case when f.is_about_toast then f.is_toast_off else f.is_off end
                            then 'autovacuum is off for this table'
                        else coalesce('last vacuumed at ' || to_char(
                            case when f.is_about_toast then f.toast_vacuumed_at else f.vacuumed_at end,
                            'YYYY-MM-DD HH24:MI TZ'), 'not vacuumed since the counters began')
                    end)
            end,
            f.analyze_status,
            case
                when f.relkind = 'p' then null
                when pg_is_in_recovery() then 'this server is a standby: see the primary'
                when f.analyze_status = 'ok' then null
                when f.statistics = 'never' and f.rows_seen >= 1000 then format('%%s rows but never analyzed; %%s',
                    to_char(f.rows_seen, 'FM999,999,999,999,990'),
                    case when f.analyze_status = 'info' then 'autoanalyze is due'
                        else 'autoanalyze will not run' end)
                when f.analyze_status = 'unknown' and f.statistics = 'hidden' and not f.is_stale then 'this role cannot see whether it has statistics'
                when f.analyze_status = 'unknown' and f.is_stale then
                    'the counts contradict each other; ANALYZE in another session counts again'
                when f.analyze_status = 'unknown' then
                    'counted only since ' || to_char(f.begins, 'YYYY-MM-DD HH24:MI TZ') || '; ANALYZE counts again'
                else format('%%s rows changed since it was analyzed, %%s times the trigger; %%s',
                    to_char(f.changed, 'FM999,999,999,999,990'),
                    round(f.change_times::numeric, 1),
                    case when f.comes then 'autoanalyze is due' else 'autovacuum is off' end)
            end,
            case f.statistics when 'analyzed' then true when 'never' then false end,
            case
                when f.relkind = 'p' then null
                when not f.is_off and f.has_toast_off is not true then 'ok'
                when f.relpersistence = 'u' or f.n_dead_tup + coalesce(f.toast_n_dead_tup, 0)
                        + f.n_ins_since_vacuum + f.n_mod_since_analyze = 0
                    or case when f.is_off then f.size else 0 end
                        + case when f.is_toast_off then f.toast_size else 0 end < 1000000 then 'info'
                else 'warning'
            end
        from stated f
        order by f.heap_bytes + f.toast_bytes + f.index_bytes desc nulls last, 1, 2
        $query$,
        case when 'relallfrozen' = any (classes) then 'c.relallfrozen' else '0' end,
        case when 'last_seq_scan' = any (stats) then 's.last_seq_scan' else 'null::timestamptz' end,
        case when 'last_idx_scan' = any (stats) then 's.last_idx_scan' else 'null::timestamptz' end)
        using database_made;
end
$get_table_stats$;

comment on function @schema@.get_table_stats() is
$comment$One row per table, partition, partitioned table and materialized view of this database, without pgwatch_wed's own version table; never waits for a lock.

schemaname, relname, kind: table, partition, partitioned table or materialized view
n_live_tup, n_dead_tup: estimates from the statistics system; live rows include those that reset counters have not seen; dead rows are NULL if the counts contradict each other
dead_ratio: n_dead_tup / (n_live_tup + n_dead_tup), 0 to 1
total_bytes, heap_bytes, toast_bytes, index_bytes: sizes as of the last VACUUM or ANALYZE (relpages); NULL if there was none yet (14 and later); a partitioned table has no size of its own
n_mod_since_analyze, n_ins_since_vacuum: rows changed since the last ANALYZE, inserted since the last VACUUM
seq_scan, seq_tup_read, idx_scan, idx_tup_fetch: scans started, and rows that they read or fetched
last_seq_scan, last_idx_scan: time of the last scan (16 and later)
n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd: rows inserted, updated, deleted, updated HOT
hot_ratio: n_tup_hot_upd / n_tup_upd, 0 to 1
last_vacuum, last_autovacuum, last_analyze, last_autoanalyze, vacuum_count, autovacuum_count, analyze_count, autoanalyze_count: maintenance, manually and by autovacuum
xid_age, mxid_age: transactions and multixacts since the oldest unfrozen one, including TOAST
autovacuum_enabled: false if autovacuum only runs to prevent wraparound
autovacuum_due: what autovacuum would do now: vacuum, insert vacuum, analyze, freeze; NULL: nothing
vacuum_threshold, vacuum_distance: the number of dead rows above which autovacuum runs (storage parameters take precedence), and how many are left until then; negative: overdue; NULL: disabled
insert_threshold, insert_distance: the same for rows inserted since the last VACUUM
analyze_threshold, analyze_distance: the same for rows changed since the last ANALYZE
freeze_distance: transactions or multixacts until a VACUUM to prevent wraparound is forced
toast_n_dead_tup: dead rows of its TOAST table
dead_bytes: estimated size of the dead rows, for 1,000 and more
vacuum_status, vacuum_reason: ok, info, warning or unknown, and why: whether dead rows are left although autovacuum had time to remove them
analyze_status, analyze_reason: the same for the planner's statistics: never collected, or outdated
has_statistics: whether the planner has statistics on it; NULL for tables of fewer than 1,000 rows and changes, and if this role cannot see it
autovacuum_status: info or warning if autovacuum is disabled for this table or its TOAST table

Installed by pgwatch_wed: get_table_stats v2.$comment$;
