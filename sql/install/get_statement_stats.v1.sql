create or replace function @schema@.get_statement_stats(
    threshold_ms double precision default 100,
    max_rows integer default 50
)
returns table (
    queryid bigint,
    username name,
    calls bigint,
    mean_exec_time double precision,
    total_exec_time double precision,
    share_of_total numeric,
    rows_per_call numeric,
    hit_ratio numeric,
    query text,
    toplevel boolean,
    min_exec_time double precision,
    max_exec_time double precision,
    stddev_exec_time double precision,
    "rows" bigint,
    plans bigint,
    total_plan_time double precision,
    min_plan_time double precision,
    max_plan_time double precision,
    mean_plan_time double precision,
    stddev_plan_time double precision,
    shared_blks_hit bigint,
    shared_blks_read bigint,
    shared_blks_dirtied bigint,
    shared_blks_written bigint,
    local_blks_hit bigint,
    local_blks_read bigint,
    local_blks_dirtied bigint,
    local_blks_written bigint,
    temp_blks_read bigint,
    temp_blks_written bigint,
    shared_blk_read_time double precision,
    shared_blk_write_time double precision,
    local_blk_read_time double precision,
    local_blk_write_time double precision,
    temp_blk_read_time double precision,
    temp_blk_write_time double precision,
    wal_records bigint,
    wal_fpi bigint,
    wal_bytes numeric,
    wal_buffers_full bigint,
    jit_functions bigint,
    jit_generation_time double precision,
    jit_inlining_count bigint,
    jit_inlining_time double precision,
    jit_optimization_count bigint,
    jit_optimization_time double precision,
    jit_emission_count bigint,
    jit_emission_time double precision,
    jit_deform_count bigint,
    jit_deform_time double precision,
    parallel_workers_to_launch bigint,
    parallel_workers_launched bigint,
    generic_plan_calls bigint,
    custom_plan_calls bigint,
    stats_since timestamptz,
    minmax_stats_since timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $get_statement_stats$
declare
    home text;
    given text[];
    columns text;
    source constant text :=
        $query$
        with /* pgwatch_wed */ statements as materialized (
            select s.userid, s.query, %1$s
            from %2$s.pg_stat_statements(%3$s) s
            where s.dbid = (
                select d.oid from pg_database d where d.datname = current_database())
        )
        select
            s.queryid,
            r.rolname,
            s.calls,
            s.mean_exec_time,
            s.total_exec_time,
            round((s.total_exec_time / nullif(
                (select sum(a.total_exec_time) from statements a
                    where a.toplevel is distinct from false), 0))::numeric, 4),
            round(s.rows::numeric / nullif(s.calls, 0), 1),
            round(s.shared_blks_hit::numeric
                / nullif(s.shared_blks_hit + s.shared_blks_read, 0), 4),
            %4$s,
            s.toplevel, s.min_exec_time, s.max_exec_time, s.stddev_exec_time, s.rows,
            s.plans, s.total_plan_time, s.min_plan_time, s.max_plan_time, s.mean_plan_time,
            s.stddev_plan_time,
            s.shared_blks_hit, s.shared_blks_read, s.shared_blks_dirtied, s.shared_blks_written,
            s.local_blks_hit, s.local_blks_read, s.local_blks_dirtied, s.local_blks_written,
            s.temp_blks_read, s.temp_blks_written,
            s.shared_blk_read_time, s.shared_blk_write_time,
            s.local_blk_read_time, s.local_blk_write_time,
            s.temp_blk_read_time, s.temp_blk_write_time,
            s.wal_records, s.wal_fpi, s.wal_bytes, s.wal_buffers_full,
            s.jit_functions, s.jit_generation_time, s.jit_inlining_count, s.jit_inlining_time,
            s.jit_optimization_count, s.jit_optimization_time, s.jit_emission_count,
            s.jit_emission_time, s.jit_deform_count, s.jit_deform_time,
            s.parallel_workers_to_launch, s.parallel_workers_launched,
            s.generic_plan_calls, s.custom_plan_calls, s.stats_since, s.minmax_stats_since
        from statements s
        left join pg_roles r on r.oid = s.userid
        where s.mean_exec_time >= $1
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
        order by s.mean_exec_time desc, s.total_exec_time desc
        limit $2
        $query$;
begin
    select quote_ident(n.nspname), p.proargnames[cardinality(p.proargtypes::oid[]) + 1:]
    into home, given
    from pg_extension e
    join pg_namespace n on n.oid = e.extnamespace
    join pg_proc p on p.pronamespace = n.oid and p.proname = 'pg_stat_statements'
    where e.extname = 'pg_stat_statements';
    if not found then
        raise exception using
            errcode = 'object_not_in_prerequisite_state',
            message = format('get_statement_stats() needs the extension pg_stat_statements, which database "%s" does not have', current_database()),
            hint = 'As superuser: CREATE EXTENSION pg_stat_statements; it also has to be in shared_preload_libraries (restart).';
    end if;
    if max_rows < 0 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'max_rows must not be negative';
    end if;

    -- The current name, the one before it, and the type. The extension's version determines which columns
    -- exist, not the server's; the others are NULL.
    select string_agg(
        case
            when c.name = any (given) then format('s.%I', c.name)
            when c.old_name = any (given) then format('s.%I as %I', c.old_name, c.name)
            else format('null::%s as %I', c.type, c.name)
        end, ', ')
    into columns
    from (values
        ('queryid', null, 'bigint'),
        ('toplevel', null, 'boolean'),
        ('calls', null, 'bigint'),
        ('rows', null, 'bigint'),
        ('plans', null, 'bigint'),
        ('total_plan_time', null, 'float8'),
        ('min_plan_time', null, 'float8'),
        ('max_plan_time', null, 'float8'),
        ('mean_plan_time', null, 'float8'),
        ('stddev_plan_time', null, 'float8'),
        ('total_exec_time', 'total_time', 'float8'),
        ('min_exec_time', 'min_time', 'float8'),
        ('max_exec_time', 'max_time', 'float8'),
        ('mean_exec_time', 'mean_time', 'float8'),
        ('stddev_exec_time', 'stddev_time', 'float8'),
        ('shared_blks_hit', null, 'bigint'),
        ('shared_blks_read', null, 'bigint'),
        ('shared_blks_dirtied', null, 'bigint'),
        ('shared_blks_written', null, 'bigint'),
        ('local_blks_hit', null, 'bigint'),
        ('local_blks_read', null, 'bigint'),
        ('local_blks_dirtied', null, 'bigint'),
        ('local_blks_written', null, 'bigint'),
        ('temp_blks_read', null, 'bigint'),
        ('temp_blks_written', null, 'bigint'),
        ('shared_blk_read_time', 'blk_read_time', 'float8'),
        ('shared_blk_write_time', 'blk_write_time', 'float8'),
        ('local_blk_read_time', null, 'float8'),
        ('local_blk_write_time', null, 'float8'),
        ('temp_blk_read_time', null, 'float8'),
        ('temp_blk_write_time', null, 'float8'),
        ('wal_records', null, 'bigint'),
        ('wal_fpi', null, 'bigint'),
        ('wal_bytes', null, 'numeric'),
        ('wal_buffers_full', null, 'bigint'),
        ('jit_functions', null, 'bigint'),
        ('jit_generation_time', null, 'float8'),
        ('jit_inlining_count', null, 'bigint'),
        ('jit_inlining_time', null, 'float8'),
        ('jit_optimization_count', null, 'bigint'),
        ('jit_optimization_time', null, 'float8'),
        ('jit_emission_count', null, 'bigint'),
        ('jit_emission_time', null, 'float8'),
        ('jit_deform_count', null, 'bigint'),
        ('jit_deform_time', null, 'float8'),
        ('parallel_workers_to_launch', null, 'bigint'),
        ('parallel_workers_launched', null, 'bigint'),
        ('generic_plan_calls', null, 'bigint'),
        ('custom_plan_calls', null, 'bigint'),
        ('stats_since', null, 'timestamptz'),
        ('minmax_stats_since', null, 'timestamptz')
    ) c (name, old_name, type);

    begin
        return query execute format(source, columns, home, 'true', 's.query')
            using coalesce(threshold_ms, 100), max_rows;
    exception
        when character_not_in_repertoire or untranslatable_character then
            -- A single text of another database that is invalid in this encoding makes the extension
            -- refuse all texts; the numbers can still be read.
            return query execute format(
                source, columns, home, 'false',
                $text$'(texts cannot be read: one of them is not valid in this database''s encoding)'::text$text$)
                using coalesce(threshold_ms, 100), max_rows;
        when object_not_in_prerequisite_state then
            raise exception using
                errcode = 'object_not_in_prerequisite_state',
                message = 'get_statement_stats() needs pg_stat_statements to be loaded when the server starts',
                hint = 'Add pg_stat_statements to shared_preload_libraries and restart the server.';
    end;
end
$get_statement_stats$;

comment on function @schema@.get_statement_stats(double precision, integer) is
$comment$All columns of pg_stat_statements for the statements of this database whose mean time is at or above a threshold, slowest first, whatever the extension's version and schema.

threshold_ms: mean execution time in ms; max_rows: at most this many rows; NULL: all
queryid, username: the statement, and the role that runs it
calls, mean_exec_time, total_exec_time, min_exec_time, max_exec_time, stddev_exec_time: number of calls, and ms
share_of_total: fraction of the execution time of all statements in this database, 0 to 1
rows_per_call, rows: rows returned or changed
hit_ratio: shared_blks_hit / (shared_blks_hit + shared_blks_read), 0 to 1
query: its text without constants
toplevel: false: run inside a function (extension 1.9 and later)
plans, *_plan_time: zero unless pg_stat_statements.track_planning is on; ms
shared_blks_*, local_blks_*, temp_blks_*: blocks
*_blk_read_time, *_blk_write_time: ms; zero unless track_io_timing is on
wal_records, wal_fpi, wal_bytes, wal_buffers_full: WAL written
jit_*: number of functions compiled and other counts, and ms
parallel_workers_to_launch, parallel_workers_launched: planned and launched
generic_plan_calls, custom_plan_calls: calls by kind of plan (1.13 and later)
stats_since, minmax_stats_since: when counting began (1.11 and later)
Columns that the extension's version lacks are NULL. Not shown: statements of this tool, and those that read only catalogs, such as psql's backslash commands and monitoring tools.

Installed by pgwatch_wed: get_statement_stats v1.$comment$;
