-- A row is a sequence and the columns that use it as default; its value is read separately, because of the locks.
select
    c.oid::int8 as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    format_type(s.seqtypid, null) as type,
    s.seqstart as start_value,
    s.seqmin as min_value,
    s.seqmax as max_value,
    s.seqincrement as increment,
    s.seqcycle as is_cycling,
    s.seqcache as cache,
    null::int8 as last_value,
    false as is_readable,
    c.relpersistence::text as persistence,
    d.refobjid::int8 as owner_table_oid,
    d.refobjsubid as owner_column,
    d.deptype::text as owner_kind,
    coalesce(f.tables, '{}') as default_tables,
    coalesce(f.columns, '{}') as default_columns,
    coalesce(o.rolname::text, c.relowner::text) as owner
from pg_sequence s
join pg_class c on c.oid = s.seqrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_roles o on o.oid = c.relowner
left join pg_depend d
    on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.objsubid = 0
    and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
left join (
    select r.refobjid, array_agg(a.adrelid::int8 order by a.oid) as tables, array_agg(a.adnum::int order by a.oid) as columns
    from pg_depend r
    join pg_attrdef a on a.oid = r.objid
    where r.classid = 'pg_attrdef'::regclass and r.refclassid = 'pg_class'::regclass
        -- nextval() itself or cast to the column's type, but not an expression that changes its value
        and a.adbin::text ~ '^(\{(FUNCEXPR :funcid (480|714|1781|1703) |COERCETODOMAIN )[^{]*)*\{FUNCEXPR :funcid 1574 '
    group by r.refobjid
) f on f.refobjid = c.oid
where c.relpersistence <> 't'
    and not (c.relpersistence = 'u' and pg_is_in_recovery())
    and n.nspname not in ('pg_catalog', 'information_schema')
limit @max_relations@
