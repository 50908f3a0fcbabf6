create or replace function @schema@.get_cache_stats()
returns table (
    kind text,
    hit_ratio numeric,
    blks_hit bigint,
    blks_read bigint,
    read_bytes numeric,
    counters_since timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $get_cache_stats$
begin
    return query execute
        $query$ /* pgwatch_wed */
        with relations as materialized (
            select
                sum(o.heap_blks_hit)::bigint as heap_hit,
                sum(o.heap_blks_read)::bigint as heap_read,
                sum(o.idx_blks_hit)::bigint as index_hit,
                sum(o.idx_blks_read)::bigint as index_read,
                sum(coalesce(o.toast_blks_hit, 0) + coalesce(o.tidx_blks_hit, 0))::bigint
                    as toast_hit,
                sum(coalesce(o.toast_blks_read, 0) + coalesce(o.tidx_blks_read, 0))::bigint
                    as toast_read
            from pg_statio_all_tables o
            where o.schemaname not in ('pg_catalog', 'information_schema', 'pg_toast')
                and not starts_with(o.schemaname::text, 'pg_temp_')
        ),
        whole as materialized (
            -- see get_index_stats() for why these times tell when counting began
            select
                d.blks_hit,
                d.blks_read,
                coalesce(
                    d.stats_reset,
                    least(
                        (select b.stats_reset from pg_stat_bgwriter b),
                        (select a.stats_reset from pg_stat_archiver a),
                        (select min(l.stats_reset) from pg_stat_slru l))) as since
            from pg_stat_database d
            where d.datname = current_database()
        )
        select
            k.kind,
            round(k.hit::numeric / nullif(k.hit + k.read, 0), 4),
            k.hit,
            k.read,
            k.read * current_setting('block_size')::numeric,
            w.since
        from whole w
        cross join relations r
        cross join lateral (values
            (1, 'heap', coalesce(r.heap_hit, 0), coalesce(r.heap_read, 0)),
            (2, 'index', coalesce(r.index_hit, 0), coalesce(r.index_read, 0)),
            (3, 'toast', coalesce(r.toast_hit, 0), coalesce(r.toast_read, 0)),
            (4, 'database', w.blks_hit, w.blks_read)
        ) k (place, kind, hit, read)
        order by k.place
        $query$;
end
$get_cache_stats$;

comment on function @schema@.get_cache_stats() is
$comment$How many blocks were found in shared buffers, out of how many, in this database; four rows.

kind: heap, index and toast (including its index) of the user tables; database: everything, including catalogs
hit_ratio: blks_hit / (blks_hit + blks_read), 0 to 1; NULL if nothing was read; misleading without the number of blocks
blks_hit: blocks found in shared buffers
blks_read, read_bytes: read from the operating system, which may have cached them
counters_since: the last reset or crash

Installed by pgwatch_wed: get_cache_stats v2.$comment$;
