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
    definition text,
    table_is_used boolean,
    proven_since timestamptz,
    is_in_extension boolean,
    related_index text,
    foreign_key text,
    foreign_key_is_checked boolean,
    foreign_key_alternative text,
    least_bytes bigint
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
-- its own results, of which the planner expects few rows, are joined with each other
set enable_nestloop = off
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
            execute $query$
                with /* pgwatch_wed */ locked as materialized (
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

    return query execute format(
        $query$ /* pgwatch_wed */
        with recursive since as materialized (
            -- Counters survive a clean restart and are discarded by a crash, which also sets the
            -- server-wide reset times; the oldest of these is the last time that all were discarded.
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
            select
                s.*,
                o.idx_blks_read,
                o.idx_blks_hit,
                w.n_tup_ins + w.n_tup_upd - w.n_tup_hot_upd as table_writes,
                w.seq_scan + coalesce(w.idx_scan, 0) + w.n_tup_ins + w.n_tup_upd + w.n_tup_del
                    as table_uses,
                -- pages accessed other than by VACUUM
                greatest(o.idx_blks_read + o.idx_blks_hit
                    - (w.vacuum_count + w.autovacuum_count) * c.relpages, 0) as accesses,
                -- a deduplicated B-tree has at least a tuple identifier per row
                (6 * greatest(t.reltuples, w.n_live_tup, 0))::bigint as least_bytes
            from pg_stat_all_indexes s
            join pg_statio_all_indexes o on o.indexrelid = s.indexrelid
            join pg_class c on c.oid = s.indexrelid
            join pg_class t on t.oid = s.relid
            left join pg_stat_all_tables w on w.relid = s.relid
        ),
        ages as materialized (
            -- an index is at least as old as the use of a table that was created later: its oid is higher
            select a.oid, min(a.used_at) over (order by a.oid desc) as used_at
            from (
                select w.relid as oid, least(%4$s w.last_vacuum, w.last_autovacuum, w.last_analyze,
                    w.last_autoanalyze) as used_at
                from pg_stat_all_tables w
                union all
                select i.indexrelid, null from pg_index i
            ) a
        ),
        heirs as (
            select distinct k.confrelid as root, k.confrelid as member
            from pg_constraint k where k.contype = 'f'
            union
            select e.root, h.inhrelid from heirs e join pg_inherits h on h.inhparent = e.member
        ),
        changed as materialized (
            select distinct e.root
            from heirs e
            join pg_stat_all_tables w on w.relid = e.member
            where w.n_tup_del + w.n_tup_upd > 0
        ),
        keys as materialized (
            -- the leading columns of an index on user tables, comparable: positions are left out
            select
                i.indexrelid,
                i.indrelid,
                c.relname,
                c.relam,
                c.relpages,
                m.amname,
                i.indisunique,
                i.indnkeyatts as n,
                (i.indkey::int2[])[0:i.indnkeyatts - 1] as columns,
                array(select e from unnest((i.indkey::int2[])[i.indnkeyatts:]) e order by e) as included,
                (i.indclass::oid[])[0:i.indnkeyatts - 1] as opclasses,
                (i.indcollation::oid[])[0:i.indnkeyatts - 1] as collations,
                (i.indoption::int2[])[0:i.indnkeyatts - 1] as options,
                regexp_replace(i.indexprs::text, $pattern$ :location -?\d+$pattern$, '', 'g') as expressions,
                regexp_replace(i.indpred::text, $pattern$ :location -?\d+$pattern$, '', 'g') as predicate,
                -- parameters of operator classes, and those that decide what an index can answer
                nullif(concat_ws(' ', case when m.amname in ('brin', 'bloom') then c.reloptions::text end, (
                    select string_agg(a.attnum || a.attoptions::text, ' ' order by a.attnum)
                    from pg_attribute a
                    where a.attrelid = i.indexrelid and a.attoptions is not null)), '') as key_options,
                i.indisprimary or i.indisunique or i.indisexclusion or i.indisreplident
                    or i.indisclustered or c.relispartition as is_bound,
                c.relpages * current_setting('block_size')::bigint >= 100000 or s.least_bytes >= 100000
                    or c.relkind = 'I' as is_large
            from pg_index i
            left join counters s on s.indexrelid = i.indexrelid
            join pg_class c on c.oid = i.indexrelid
            join pg_am m on m.oid = c.relam
            join pg_namespace n on n.oid = c.relnamespace
            where i.indisvalid and i.indisready and i.indislive
                and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
        ),
        ranked as materialized (
            -- of duplicates, the first stays
            select
                k.*,
                count(*) over same as twins,
                row_number() over (same order by k.is_bound desc, k.indisunique desc, k.relpages, k.indexrelid)
                    as place,
                first_value(k.relname) over (same order by k.is_bound desc, k.indisunique desc, k.relpages,
                    k.indexrelid) as first,
                lead(k.relname) over (same order by k.is_bound desc, k.indisunique desc, k.relpages,
                    k.indexrelid) as next
            from keys k
            window same as (partition by k.indrelid, k.relam, k.columns, k.included, k.opclasses, k.collations,
                k.options, k.expressions, k.predicate, k.key_options)
        ),
        prefixes as materialized (
            -- the wide one can answer every scan that the narrow one can
            select
                a.indexrelid as narrow,
                a.relname as narrow_name,
                b.indexrelid as wide,
                b.relname as wide_name,
                b.relpages,
                b.is_bound or b.indisunique as is_bound
            from ranked a
            join ranked b on b.indrelid = a.indrelid and b.indexrelid <> a.indexrelid and a.n <= b.n
            where (a.is_large or b.is_large)
                and not a.indisunique and not a.is_bound
                and (a.place = 1 or a.is_bound) and (b.place = 1 or b.is_bound)
                and a.amname = 'btree' and b.amname = 'btree'
                and a.columns = b.columns[:a.n]
                and a.opclasses = b.opclasses[:a.n]
                and a.collations = b.collations[:a.n]
                and a.options = b.options[:a.n]
                and a.predicate is not distinct from b.predicate
                and a.key_options is null and b.key_options is null
                and a.included <@ b.included and (a.n < b.n or not b.included <@ a.included)
                and (a.expressions is null or starts_with(
                    btrim(b.expressions, '()') || ' {', btrim(a.expressions, '()') || ' {'))
        ),
        widest as materialized (
            select distinct on (p.narrow) p.*
            from prefixes p
            left join (
                select distinct i.narrow, i.wide
                from prefixes i
                join prefixes o on o.narrow = i.wide
                join prefixes q on q.narrow = i.narrow and q.wide = o.wide
            ) covered on covered.narrow = p.narrow and covered.wide = p.wide
            where p.is_bound or covered.wide is null
            order by p.narrow, p.relpages, p.wide
        ),
        relatives as materialized (
            select distinct on (x.indexrelid) x.indexrelid, x.related
            from (
                select
                    k.indexrelid,
                    case when k.place > 1 then k.first else k.next end::text as related
                from ranked k
                where k.twins > 1 and k.is_large and not k.is_bound
                union all
                select p.narrow, p.wide_name::text from widest p
                union all
                select p.wide, p.narrow_name::text from widest p
            ) x
            order by x.indexrelid, x.related
        ),
        covers as materialized (
            -- what can serve the check of a foreign key: all its columns come first, and only they need not be null
            select
                q.oid,
                q.conname,
                q.conrelid,
                q.confrelid,
                q.conkey,
                k.indexrelid,
                row_number() over (
                    partition by q.oid
                    order by k.is_bound desc, s.idx_scan desc nulls last, k.relpages, k.indexrelid) as place
            from pg_constraint q
            join keys k on k.indrelid = q.conrelid
            left join counters s on s.indexrelid = k.indexrelid
            where q.contype = 'f'
                and cardinality(q.conkey) <= k.n
                and k.columns[:cardinality(q.conkey)] @> q.conkey
                and k.columns[:cardinality(q.conkey)] <@ q.conkey
                and (k.amname in ('btree', 'gist') or k.amname = 'hash' and k.n = 1)
                and (k.predicate is null or (
                    k.predicate ~ $pattern$^\(?\{NULLTEST :arg \{VAR $pattern$ and k.predicate ~ ':nulltesttype 1 '
                    and substring(k.predicate from $pattern$:varattno (\d+)$pattern$)::int2 = any (q.conkey)))
        ),
        supports as materialized (
            select distinct on (v.indexrelid)
                v.indexrelid,
                v.conname,
                v.confrelid in (select g.root from changed g) as is_checked,
                a.alternative
            from covers v
            left join (
                select v.oid, min(k.relname::text) as alternative
                from covers v
                join keys k on k.indrelid = v.conrelid
                where v.place = 1 and k.indexrelid <> v.indexrelid and k.amname = 'btree'
                    and k.predicate is null and k.columns[1] = any (v.conkey)
                group by v.oid
            ) a on a.oid = v.oid
            where v.place = 1
            order by v.indexrelid, is_checked desc, v.conname
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
                sum(s.table_writes)::bigint as table_writes,
                sum(s.table_uses)::bigint as table_uses,
                sum(s.accesses)::bigint as accesses,
                sum(s.least_bytes)::bigint as least_bytes,
                sum(m.relpages)::bigint as pages,
                max(%1$s) as last_idx_scan
            from family f
            join counters s on s.indexrelid = f.member
            join pg_class m on m.oid = f.member
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
            u.counters_since,
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
            u.table_writes,
            case when c.relkind = 'I' then coalesce(f.idx_blks_read, 0) else s.idx_blks_read end,
            case when c.relkind = 'I' then coalesce(f.idx_blks_hit, 0) else s.idx_blks_hit end,
            x.definition,
            u.table_uses > 0,
            case when %5$s then u.counters_since
                when coalesce(o.at, g.used_at) is not null
                then greatest(u.counters_since, least(o.at, g.used_at)) end,
            d.objid is not null,
            r.related::text,
            y.conname::text,
            y.is_checked,
            y.alternative,
            case when m.amname = 'btree' and i.indpred is null
                then case when c.relkind = 'I' then coalesce(f.least_bytes, 0) else s.least_bytes end
                else 0 end
        from pg_index i
        join pg_class c on c.oid = i.indexrelid
        join pg_class t on t.oid = i.indrelid
        join pg_namespace n on n.oid = c.relnamespace
        join pg_am m on m.oid = c.relam
        left join counters s on s.indexrelid = i.indexrelid
        left join sums f on f.root = i.indexrelid
        cross join lateral (
            select
                greatest((select e.at from since e), %2$s, %3$s) as counters_since,
                case when c.relkind = 'I' then coalesce(f.table_writes, 0) else s.table_writes end
                    as table_writes,
                case when c.relkind = 'I' then coalesce(f.table_uses, 0) else s.table_uses end
                    as table_uses,
                case when c.relkind = 'I' then coalesce(f.accesses, 0) else s.accesses end as accesses
        ) u
        cross join lateral (
            -- each write of a row accesses a page of the index
            select case when u.table_writes >= 1000 then
                now() - (now() - u.counters_since)
                    * case when u.accesses >= 0.9 * u.table_writes then 1
                        else u.accesses::float8 / u.table_writes end end as at
        ) o
        left join ages g on g.oid = i.indexrelid
        left join relatives r on r.indexrelid = i.indexrelid
        left join supports y on y.indexrelid = i.indexrelid
        left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = i.indrelid
            and d.objsubid = 0 and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
        left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
        left join pg_stat_progress_create_index b
            on b.index_relid = i.indexrelid and b.datname = current_database()
        left join unnest($1, $2) x (indexrelid, definition) on x.indexrelid = i.indexrelid
        where t.relkind in ('r', 'p', 'm')
            and c.relpersistence <> 't'
            and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
            and t.relname <> 'pgwatch_wed_alembic_version'
        order by 5 desc, 1, 2, 3
        $query$,
        case when 'last_idx_scan' = any (stats) then 's.last_idx_scan' else 'null::timestamptz' end,
        case when 'stats_reset' = any (stats) then 's.stats_reset' else 'null::timestamptz' end,
        case when current_setting('track_commit_timestamp')::boolean
            then 'pg_xact_commit_timestamp(i.xmin)' else 'null::timestamptz' end,
        case when 'last_idx_scan' = any (stats) then 'w.last_seq_scan, w.last_idx_scan,' else '' end,
        case when current_setting('track_commit_timestamp')::boolean
            then 'pg_xact_commit_timestamp(i.xmin) is not null' else 'false' end)
        using oids, definitions, database_made;
end
$get_index_stats$;

comment on function @schema@.get_index_stats() is
$comment$One row per index on a table, partition, partitioned table or materialized view of this database; never waits for a lock.

schemaname, relname, indexrelname, access_method: the index and its table
size_bytes: as of the last VACUUM, ANALYZE or build (relpages); for a partitioned index, the sum over its partitions' indexes, like all counters below
idx_scan, idx_tup_read, idx_tup_fetch: scans started, entries read, live rows fetched by plain scans; on this server only: a standby has its own counters
last_idx_scan: time of the last scan (16 and later)
counters_since: since when scans of this index have been counted: the last reset or crash or, if known, the creation of the database (superuser) or of the index (track_commit_timestamp)
is_unique, is_primary, is_exclusion, constraint_name: what it enforces, and the constraint it belongs to
is_valid, is_ready, is_building: neither valid nor being built: left behind by a failed CREATE INDEX CONCURRENTLY
is_replica_identity, is_clustered: used by logical replication or CLUSTER
is_partial, is_expression: has a WHERE clause, has an expression
is_partitioned, parent_index: belongs to a partitioned table; the index it is attached to
supports_foreign_key: its leading columns are those of a foreign key on its table
table_writes: inserts and non-HOT updates: approximately the entries added to the index
idx_blks_read, idx_blks_hit: blocks read, and found in shared buffers
definition: the command that creates it; NULL while its table is exclusively locked
table_is_used: whether its table has been read or written since the counters began
proven_since: since when it is certain that the index existed and its scans were counted: it received the table's writes, or a table created later was in use; NULL if nothing proves it
is_in_extension: its table belongs to an extension
related_index: a duplicate, or an index of which one begins with the other's columns; only for indexes of at least 100 kB that enforce nothing
foreign_key: the foreign key that would be left without an index on all of its columns if this one were dropped
foreign_key_is_checked: whether rows of the referenced table have been deleted or updated since the counters began
foreign_key_alternative: another index that begins with one of the foreign key's columns, which may be enough for its checks
least_bytes: a lower limit of its size by the number of rows, for a B-tree that is not partial: size_bytes may be older

Installed by pgwatch_wed: get_index_stats v2.$comment$;
