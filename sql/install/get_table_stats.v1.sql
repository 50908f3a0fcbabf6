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
    toast_n_dead_tup bigint
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
begin
    -- Everything is dynamic: no plan, view or column of the server is bound before it runs, and
    -- what this server lacks is NULL. Sizes come from relpages, so that no lock is waited for.
    return query execute format(
        $query$ /* pgwatch_wed */
        with guc as materialized (
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
                current_setting('autovacuum_multixact_freeze_max_age')::bigint as mxid_freeze_age
        ),
        index_pages as (
            select i.indrelid, sum(c.relpages)::bigint as pages
            from pg_index i
            join pg_class c on c.oid = i.indexrelid
            group by i.indrelid
        ),
        facts as (
            select
                n.nspname,
                c.relname,
                c.relkind,
                c.relispartition,
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
            where c.relkind in ('r', 'p', 'm')
                and c.relpersistence <> 't'
                and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        ),
        triggers as (
            select
                f.*,
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
        )
        select
            f.nspname,
            f.relname,
            case f.relkind
                when 'm' then 'materialized view'
                when 'p' then 'partitioned table'
                else case when f.relispartition then 'partition' else 'table' end end,
            f.n_live_tup,
            f.n_dead_tup,
            round(f.n_dead_tup::numeric / nullif(f.n_live_tup + f.n_dead_tup, 0), 4),
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
            f.vac_trigger - f.n_dead_tup,
            f.ins_trigger,
            f.ins_trigger - f.n_ins_since_vacuum,
            f.ana_trigger,
            f.ana_trigger - f.n_mod_since_analyze,
            f.freeze_left,
            f.toast_n_dead_tup
        from triggers f
        order by f.heap_bytes + f.toast_bytes + f.index_bytes desc nulls last, 1, 2
        $query$,
        case when 'relallfrozen' = any (classes) then 'c.relallfrozen' else '0' end,
        case when 'last_seq_scan' = any (stats) then 's.last_seq_scan' else 'null::timestamptz' end,
        case when 'last_idx_scan' = any (stats) then 's.last_idx_scan' else 'null::timestamptz' end);
end
$get_table_stats$;

comment on function @schema@.get_table_stats() is
$comment$One row a user table, partition, partitioned table and materialized view of this database; never waits for a lock.

schemaname, relname, kind: table, partition, partitioned table or materialized view
n_live_tup, n_dead_tup: rows, as the statistics system estimates them
dead_ratio: n_dead_tup / (n_live_tup + n_dead_tup), 0 to 1
total_bytes, heap_bytes, toast_bytes, index_bytes: sizes as of the last VACUUM or ANALYZE (relpages); NULL where there was none yet (14 and later); a partitioned table has none of its own
n_mod_since_analyze, n_ins_since_vacuum: rows changed since the last ANALYZE, inserted since the last VACUUM
seq_scan, seq_tup_read, idx_scan, idx_tup_fetch: scans begun and rows they read or fetched
last_seq_scan, last_idx_scan: time of the last scan (16 and later)
n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd: rows inserted, updated, deleted, updated HOT
hot_ratio: n_tup_hot_upd / n_tup_upd, 0 to 1
last_vacuum, last_autovacuum, last_analyze, last_autoanalyze, vacuum_count, autovacuum_count, analyze_count, autoanalyze_count: maintenance, by hand and by autovacuum
xid_age, mxid_age: transactions and multixacts since the oldest unfrozen one, TOAST included
autovacuum_enabled: whether autovacuum works on this table apart from freezing
autovacuum_due: what autovacuum would do now: vacuum, insert vacuum, analyze, freeze; NULL: nothing
vacuum_threshold, vacuum_distance: dead rows above which autovacuum vacuums (the table's own settings count), and how many are still to come; negative: overdue; NULL: switched off
insert_threshold, insert_distance: the same for rows inserted since the last VACUUM
analyze_threshold, analyze_distance: the same for rows changed since the last ANALYZE
freeze_distance: transactions or multixacts until a VACUUM against wraparound is forced
toast_n_dead_tup: dead rows of its TOAST table

Installed by pgwatch_wed: get_table_stats v1.$comment$;
