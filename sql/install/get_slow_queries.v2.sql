create or replace function @schema@.get_slow_queries(
    threshold_ms double precision default 100,
    max_rows integer default 50
)
returns table (
    calls bigint,
    mean_exec_time numeric,
    total_exec_time numeric,
    "rows" bigint,
    query text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set jit = off
as $get_slow_queries$
declare
    home text;
    given text[];
    columns text;
    source constant text :=
        $query$
        with /* pgwatch_wed */ statements as materialized (
            select s.query, %1$s
            from %2$s.pg_stat_statements(%3$s) s
            where s.dbid = (
                select d.oid from pg_database d where d.datname = current_database())
        )
        select
            s.calls,
            round(s.mean_exec_time::numeric, 1),
            round(s.total_exec_time::numeric, 1),
            s.rows,
            case when length(t.query) > 37 then left(t.query, 34) || '...' else t.query end
        from statements s
        cross join lateral (
            -- in one line, without comments, and short: a row of psql has room in 100 columns
            select btrim(regexp_replace(
                regexp_replace(left(%4$s, 2000), $pattern$/\*.*?\*/$pattern$, ' ', 'g'),
                $pattern$(\s|--[^\n]*\n)+$pattern$, ' ', 'g')) as query
        ) t
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
            message = format('get_slow_queries() needs the extension pg_stat_statements, which database "%s" does not have', current_database()),
            hint = 'As superuser: CREATE EXTENSION pg_stat_statements; it also has to be in shared_preload_libraries (restart).';
    end if;
    if max_rows < 0 then
        raise exception using
            errcode = 'invalid_parameter_value',
            message = 'max_rows must not be negative';
    end if;

    -- The current names, and those before 1.8: the extension's version determines which it has.
    columns := case
        when 'mean_time' = any (given) then 's.calls, s.mean_time as mean_exec_time, s.total_time as total_exec_time, s.rows'
        else 's.calls, s.mean_exec_time, s.total_exec_time, s.rows' end;

    begin
        return query execute format(source, columns, home, 'true', 's.query')
            using coalesce(threshold_ms, 100), max_rows;
    exception
        when character_not_in_repertoire or untranslatable_character then
            -- A single text of another database that is invalid in this encoding makes the extension
            -- refuse all texts; the numbers can still be read.
            return query execute format(
                source, columns, home, 'false',
                $text$'(not valid in this encoding)'::text$text$)
                using coalesce(threshold_ms, 100), max_rows;
        when object_not_in_prerequisite_state then
            raise exception using
                errcode = 'object_not_in_prerequisite_state',
                message = 'get_slow_queries() needs pg_stat_statements to be loaded when the server starts',
                hint = 'Add pg_stat_statements to shared_preload_libraries and restart the server.';
    end;
end
$get_slow_queries$;

comment on function @schema@.get_slow_queries(double precision, integer) is
$comment$Statements of this database whose mean time is at or above a threshold, slowest first, in rows that fit into 100 columns. get_statement_stats() has the same rows with all columns and whole texts.

threshold_ms: mean execution time in ms; max_rows: at most this many rows; NULL: all
calls: number of calls
mean_exec_time, total_exec_time: ms, rounded
rows: rows returned or changed by all calls
query: the beginning of its text, without constants
Not shown: statements of this tool, and those that read only catalogs, such as psql's backslash commands and monitoring tools.

Installed by pgwatch_wed: get_slow_queries v2.$comment$;
