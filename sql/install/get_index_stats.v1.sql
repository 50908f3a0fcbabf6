create or replace function @schema@.get_index_stats()
returns table (
    schemaname name,
    relname name,
    indexrelname name,
    access_method name,
    size_bytes bigint,
    idx_scan bigint,
    idx_tup_read bigint,
    idx_tup_fetch bigint,
    last_idx_scan timestamptz,
    counters_since timestamptz,
    is_unique boolean,
    is_primary boolean,
    is_exclusion boolean,
    constraint_name name,
    is_valid boolean,
    is_ready boolean,
    is_building boolean,
    is_replica_identity boolean,
    is_clustered boolean,
    is_partial boolean,
    is_expression boolean,
    is_partitioned boolean,
    parent_index text,
    supports_foreign_key boolean,
    table_writes bigint,
    idx_blks_read bigint,
    idx_blks_hit bigint,
    definition text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set jit = off
as $get_index_stats$
declare
    stats constant name[] := (
        select array_agg(a.attname) from pg_attribute a
        where a.attrelid = 'pg_catalog.pg_stat_all_indexes'::regclass and a.attnum > 0);
    database_made timestamptz;
    oids oid[];
    definitions text[];
begin
    -- pg_get_indexdef() waits behind an ACCESS EXCLUSIVE lock, held or only asked for. Relations
    -- under one are left out; the time limit covers locks that come while we look, and a new try
    -- tables that are dropped meanwhile.
    for attempt in 1..3 loop
        begin
            execute $query$ /* pgwatch_wed */
                with locked as materialized (
                    select l.relation from pg_locks l
                    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
                        and l.database = (
                            select d.oid from pg_database d where d.datname = current_database())
                        and l.pid is distinct from pg_backend_pid()
                )
                select array_agg(i.indexrelid), array_agg(pg_get_indexdef(i.indexrelid))
                from pg_index i
                join pg_class c on c.oid = i.indexrelid
                join pg_namespace n on n.oid = c.relnamespace
                where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
                    and c.relpersistence <> 't'
                    and i.indrelid not in (select k.relation from locked k)
                    and i.indexrelid not in (select k.relation from locked k)
                $query$ into oids, definitions;
            exit;
        exception when lock_not_available or internal_error or undefined_table then
            oids := null;
            definitions := null;
        end;
    end loop;

    -- A database younger than the server's counters has younger counters: its files' time tells,
    -- where the role may read it.
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

    return query execute format(
        $query$ /* pgwatch_wed */
        with recursive since as materialized (
            -- Counters survive a clean restart and are thrown away by a crash, which also sets the
            -- server-wide reset times; the oldest of these is the last time all was thrown away.
            -- Before 15 a database has a reset time from the start, since then only after a reset.
            select greatest(
                coalesce(
                    d.stats_reset,
                    least(
                        (select b.stats_reset from pg_stat_bgwriter b),
                        (select a.stats_reset from pg_stat_archiver a),
                        (select min(l.stats_reset) from pg_stat_slru l))),
                $3) as at
            from pg_stat_database d
            where d.datname = current_database()
        ),
        counters as materialized (
            select s.*, o.idx_blks_read, o.idx_blks_hit
            from pg_stat_all_indexes s
            join pg_statio_all_indexes o on o.indexrelid = s.indexrelid
        ),
        family as (
            -- a partitioned index and all that is attached below it
            select c.oid as root, c.oid as member from pg_class c where c.relkind = 'I'
            union all
            select f.root, h.inhrelid from family f join pg_inherits h on h.inhparent = f.member
        ),
        sums as (
            select
                f.root,
                sum(s.idx_scan)::bigint as idx_scan,
                sum(s.idx_tup_read)::bigint as idx_tup_read,
                sum(s.idx_tup_fetch)::bigint as idx_tup_fetch,
                sum(s.idx_blks_read)::bigint as idx_blks_read,
                sum(s.idx_blks_hit)::bigint as idx_blks_hit,
                sum(w.n_tup_ins + w.n_tup_upd - w.n_tup_hot_upd)::bigint as table_writes,
                sum(m.relpages)::bigint as pages,
                max(%1$s) as last_idx_scan
            from family f
            join counters s on s.indexrelid = f.member
            join pg_class m on m.oid = f.member
            left join pg_stat_all_tables w on w.relid = s.relid
            group by f.root
        )
        select
            n.nspname,
            t.relname,
            c.relname,
            m.amname,
            case when c.relkind = 'I' then coalesce(f.pages, 0) else c.relpages end
                * current_setting('block_size')::bigint,
            case when c.relkind = 'I' then coalesce(f.idx_scan, 0) else s.idx_scan end,
            case when c.relkind = 'I' then coalesce(f.idx_tup_read, 0) else s.idx_tup_read end,
            case when c.relkind = 'I' then coalesce(f.idx_tup_fetch, 0) else s.idx_tup_fetch end,
            case when c.relkind = 'I' then f.last_idx_scan else %1$s end,
            greatest((select e.at from since e), %2$s, %3$s),
            i.indisunique,
            i.indisprimary,
            i.indisexclusion,
            k.conname,
            i.indisvalid,
            i.indisready,
            b.index_relid is not null,
            case t.relreplident
                when 'i' then i.indisreplident when 'd' then i.indisprimary else false end,
            i.indisclustered,
            i.indpred is not null,
            i.indexprs is not null,
            c.relkind = 'I',
            (select quote_ident(pn.nspname) || '.' || quote_ident(p.relname)
                from pg_inherits h
                join pg_class p on p.oid = h.inhparent
                join pg_namespace pn on pn.oid = p.relnamespace
                where h.inhrelid = c.oid and c.relispartition),
            i.indpred is null and exists (
                select from pg_constraint q
                where q.contype = 'f' and q.conrelid = i.indrelid
                    and cardinality(q.conkey) <= i.indnkeyatts
                    and (select array_agg(e order by e) from unnest(q.conkey) e)
                        = (select array_agg(e order by e)
                            from unnest((i.indkey::int2[])[0:cardinality(q.conkey) - 1]) e)),
            case when c.relkind = 'I' then coalesce(f.table_writes, 0)
                else w.n_tup_ins + w.n_tup_upd - w.n_tup_hot_upd end,
            case when c.relkind = 'I' then coalesce(f.idx_blks_read, 0) else s.idx_blks_read end,
            case when c.relkind = 'I' then coalesce(f.idx_blks_hit, 0) else s.idx_blks_hit end,
            x.definition
        from pg_index i
        join pg_class c on c.oid = i.indexrelid
        join pg_class t on t.oid = i.indrelid
        join pg_namespace n on n.oid = c.relnamespace
        join pg_am m on m.oid = c.relam
        left join counters s on s.indexrelid = i.indexrelid
        left join sums f on f.root = i.indexrelid
        left join pg_stat_all_tables w on w.relid = i.indrelid
        left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
        left join pg_stat_progress_create_index b
            on b.index_relid = i.indexrelid and b.datname = current_database()
        left join unnest($1, $2) x (indexrelid, definition) on x.indexrelid = i.indexrelid
        where t.relkind in ('r', 'p', 'm')
            and c.relpersistence <> 't'
            and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        order by 5 desc, 1, 2, 3
        $query$,
        case when 'last_idx_scan' = any (stats) then 's.last_idx_scan' else 'null::timestamptz' end,
        case when 'stats_reset' = any (stats) then 's.stats_reset' else 'null::timestamptz' end,
        case when current_setting('track_commit_timestamp')::boolean
            then 'pg_xact_commit_timestamp(i.xmin)' else 'null::timestamptz' end)
        using oids, definitions, database_made;
end
$get_index_stats$;

comment on function @schema@.get_index_stats() is
$comment$One row an index on a user table, partition, partitioned table or materialized view of this database; never waits for a lock.

schemaname, relname, indexrelname, access_method: the index and its table
size_bytes: size as of the last VACUUM, ANALYZE or build (relpages); of a partitioned index the sum of its partitions' indexes, like all counters below
idx_scan, idx_tup_read, idx_tup_fetch: scans begun, entries read, live rows fetched by plain scans; on this server only, a standby counts its own
last_idx_scan: time of the last scan (16 and later)
counters_since: since when scans of this index can have been counted: the last reset or crash, or where the server tells it the making of the database (superuser) or of the index (track_commit_timestamp)
is_unique, is_primary, is_exclusion, constraint_name: what it enforces, and the constraint it belongs to
is_valid, is_ready, is_building: false, false: a failed CREATE INDEX CONCURRENTLY, unless it is being built now
is_replica_identity, is_clustered: logical replication or CLUSTER need it
is_partial, is_expression: has a WHERE clause, has an expression
is_partitioned, parent_index: is an index of a partitioned table; the one it is attached to
supports_foreign_key: its leading columns are those of a foreign key of its table
table_writes: rows inserted and updated not HOT: about the entries that this index had to take
idx_blks_read, idx_blks_hit: blocks read from outside and found in shared buffers
definition: the command that makes it; NULL while its table is locked exclusively

Installed by pgwatch_wed: get_index_stats v1.$comment$;
