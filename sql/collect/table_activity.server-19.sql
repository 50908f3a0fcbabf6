-- A row is the counters of a user table; including those of its TOAST table.
select
    c.oid::int8 as oid,
    pg_stat_get_numscans(c.oid) as seq_scan,
    pg_stat_get_tuples_returned(c.oid) as seq_tup_read,
    coalesce(x.numscans, 0) as idx_scan,
    coalesce(x.fetched, 0) + pg_stat_get_tuples_fetched(c.oid) as idx_tup_fetch,
    pg_stat_get_lastscan(c.oid) as last_seq_scan,
    x.last_scan as last_idx_scan,
    pg_stat_get_tuples_inserted(c.oid) as n_tup_ins,
    pg_stat_get_tuples_updated(c.oid) as n_tup_upd,
    pg_stat_get_tuples_deleted(c.oid) as n_tup_del,
    pg_stat_get_tuples_hot_updated(c.oid) as n_tup_hot_upd,
    pg_stat_get_tuples_newpage_updated(c.oid) as n_tup_newpage_upd,
    pg_stat_get_live_tuples(c.oid) as n_live_tup,
    pg_stat_get_dead_tuples(c.oid) as n_dead_tup,
    pg_stat_get_mod_since_analyze(c.oid) as n_mod_since_analyze,
    pg_stat_get_ins_since_vacuum(c.oid) as n_ins_since_vacuum,
    pg_stat_get_last_vacuum_time(c.oid) as last_vacuum,
    pg_stat_get_last_autovacuum_time(c.oid) as last_autovacuum,
    pg_stat_get_last_analyze_time(c.oid) as last_analyze,
    pg_stat_get_last_autoanalyze_time(c.oid) as last_autoanalyze,
    pg_stat_get_vacuum_count(c.oid) as vacuum_count,
    pg_stat_get_autovacuum_count(c.oid) as autovacuum_count,
    pg_stat_get_analyze_count(c.oid) as analyze_count,
    pg_stat_get_autoanalyze_count(c.oid) as autoanalyze_count,
    pg_stat_get_total_autovacuum_time(c.oid) as total_autovacuum_ms,
    pg_stat_get_blocks_fetched(c.oid) - pg_stat_get_blocks_hit(c.oid) as heap_blks_read,
    pg_stat_get_blocks_hit(c.oid) as heap_blks_hit,
    coalesce(x.blks_read, 0) as idx_blks_read,
    coalesce(x.blks_hit, 0) as idx_blks_hit,
    coalesce(pg_stat_get_blocks_fetched(t.oid) - pg_stat_get_blocks_hit(t.oid), 0) as toast_blks_read,
    coalesce(pg_stat_get_blocks_hit(t.oid), 0) as toast_blks_hit,
    coalesce(pg_stat_get_blocks_fetched(ti.indexrelid) - pg_stat_get_blocks_hit(ti.indexrelid), 0) as tidx_blks_read,
    coalesce(pg_stat_get_blocks_hit(ti.indexrelid), 0) as tidx_blks_hit,
    pg_stat_get_live_tuples(t.oid) as toast_n_live_tup,
    pg_stat_get_dead_tuples(t.oid) as toast_n_dead_tup,
    pg_stat_get_last_vacuum_time(t.oid) as toast_last_vacuum,
    pg_stat_get_last_autovacuum_time(t.oid) as toast_last_autovacuum,
    pg_stat_get_stat_reset_time(c.oid) as stats_reset
from (
    -- selected first: every counter that is looked up stays in the server process's memory
    select r.oid, r.reltoastrelid
    from pg_class r
    join pg_namespace n on n.oid = r.relnamespace
    where r.relkind in ('r', 'm', 'p')
        and r.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        and n.nspname !~ '^pg_(toast_)?temp_'
    order by r.relpages desc, r.oid
    limit @max_relations@
) c
left join pg_class t on t.oid = c.reltoastrelid and c.reltoastrelid <> 0
left join pg_index ti on ti.indrelid = t.oid and ti.indisvalid
left join lateral (
    select
        sum(pg_stat_get_numscans(i.indexrelid))::int8 as numscans,
        sum(pg_stat_get_tuples_fetched(i.indexrelid))::int8 as fetched,
        sum(pg_stat_get_blocks_fetched(i.indexrelid) - pg_stat_get_blocks_hit(i.indexrelid))::int8 as blks_read,
        sum(pg_stat_get_blocks_hit(i.indexrelid))::int8 as blks_hit,
        max(pg_stat_get_lastscan(i.indexrelid)) as last_scan
    from pg_index i
    where i.indrelid = c.oid
) x on true
