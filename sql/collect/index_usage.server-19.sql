-- A row is the counters of an index of a user table on this server.
select
    i.indexrelid::int8 as oid,
    pg_stat_get_numscans(i.indexrelid) as idx_scan,
    pg_stat_get_tuples_returned(i.indexrelid) as idx_tup_read,
    pg_stat_get_tuples_fetched(i.indexrelid) as idx_tup_fetch,
    pg_stat_get_lastscan(i.indexrelid) as last_idx_scan,
    pg_stat_get_blocks_fetched(i.indexrelid) - pg_stat_get_blocks_hit(i.indexrelid) as blks_read,
    pg_stat_get_blocks_hit(i.indexrelid) as blks_hit,
    pg_stat_get_stat_reset_time(i.indexrelid) as stats_reset
from (
    -- selected first: every counter that is looked up stays in the server process's memory
    select x.indexrelid
    from pg_index x
    join pg_class c on c.oid = x.indexrelid
    join pg_class t on t.oid = x.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    where t.relkind in ('r', 'm', 'p')
        and t.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        and n.nspname !~ '^pg_(toast_)?temp_'
    order by c.relpages desc, x.indexrelid
    limit @max_indexes@
) i
