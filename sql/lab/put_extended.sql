-- Gives a CREATE STATISTICS object in the lab its contents; those of expressions come from the columns of a table of samples.
insert into pg_statistic_ext_data (stxoid, stxdinherit, stxdndistinct, stxddependencies, stxdmcv, stxdexpr)
values (
    %(oid)s,
    %(is_inherited)s,
    %(n_distinct)s::bytea::pg_ndistinct,
    %(dependencies)s::bytea::pg_dependencies,
    %(common)s::bytea::pg_mcv_list,
    (
        select array_agg(s order by u.place)
        from unnest(%(expressions)s::text[]) with ordinality u (name, place)
        left join pg_attribute a on a.attrelid = %(sample)s and a.attname = u.name
        left join pg_statistic s on s.starelid = a.attrelid and s.staattnum = a.attnum
    )
)
