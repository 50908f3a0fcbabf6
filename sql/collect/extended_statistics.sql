-- A row is a CREATE STATISTICS object.
select
    s.stxrelid::int8 as table_oid,
    n.nspname::text as schema,
    s.stxname::text as name,
    s.stxkeys::int2[]::int[] as columns,
    s.stxkind::text[] as kinds,
    (to_jsonb(s) ->> 'stxexprs') is not null as has_expressions,
    null::bool as is_built
from pg_statistic_ext s
join pg_namespace n on n.oid = s.stxnamespace
