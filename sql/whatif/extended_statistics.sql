-- A row is what ANALYZE stored for a CREATE STATISTICS object: as text, and NULL where this role may not read it.
select
    n.nspname::text as schema,
    s.stxname::text as name,
    tn.nspname::text as table_schema,
    c.relname::text as table_name,
    pg_get_userbyid(c.relowner)::text as owner,
    -- views show the values only to the table's owner, and to nobody to whom row-level security applies
    pg_has_role(c.relowner, 'USAGE') and not row_security_active(c.oid) as is_readable,
    s.stxkeys::int2[]::int[] as numbers,
    array(
        select a.attname::text
        from unnest(s.stxkeys::int2[]) with ordinality k (number, place)
        join pg_attribute a on a.attrelid = s.stxrelid and a.attnum = k.number
        order by k.place
    ) as columns,
    coalesce((to_jsonb(v) ->> 'inherited')::bool, c.relkind = 'p') as is_inherited,
    v.statistics_name is not null as is_known,
    v.n_distinct::bytea as n_distinct,
    v.dependencies::bytea as dependencies,
    v.most_common_vals as common,
    v.most_common_freqs as shares,
    v.most_common_base_freqs as base_shares,
    to_jsonb(v) -> 'exprs' as expressions,
    @expressions@ as of_expressions
from pg_statistic_ext s
join pg_namespace n on n.oid = s.stxnamespace
join pg_class c on c.oid = s.stxrelid
join pg_namespace tn on tn.oid = c.relnamespace
left join pg_stats_ext v on v.statistics_schemaname = n.nspname and v.statistics_name = s.stxname
order by n.nspname, s.stxname
