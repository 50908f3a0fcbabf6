-- A row is a CREATE STATISTICS object in the lab, with its columns, their numbers and types, and its expressions.
select
    s.oid::int8 as oid,
    s.stxrelid::int8 as table_oid,
    array(
        select a.attname::text from pg_attribute a
        where a.attrelid = s.stxrelid and a.attnum = any (s.stxkeys)
        order by a.attnum
    ) as columns,
    array(
        select a.attnum::int from pg_attribute a
        where a.attrelid = s.stxrelid and a.attnum = any (s.stxkeys)
        order by a.attnum
    ) as numbers,
    array(
        select format_type(a.atttypid, a.atttypmod) from pg_attribute a
        where a.attrelid = s.stxrelid and a.attnum = any (s.stxkeys)
        order by a.attnum
    ) as types,
    coalesce(pg_get_statisticsobjdef_expressions(s.oid), '{}') as expressions
from pg_statistic_ext s
join pg_namespace n on n.oid = s.stxnamespace
where n.nspname = %(schema)s and s.stxname = %(name)s
