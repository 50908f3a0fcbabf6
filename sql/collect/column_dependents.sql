-- A row is an object that uses a column of a number type, so that the type cannot be changed while it exists.
with used as materialized (
    select d.classid, d.objid, d.refobjid, d.refobjsubid
    from pg_depend d
    where d.classid in (
            'pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass
        )
        and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0
), dependents as (
    select
        u.refobjid,
        u.refobjsubid,
        case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'rule' end as kind,
        n.nspname::text as schema,
        case when c.relkind in ('v', 'm') then c.relname else r.rulename end::text as name
    from used u
    join pg_rewrite r on r.oid = u.objid
    join pg_class c on c.oid = r.ev_class
    join pg_namespace n on n.oid = c.relnamespace
    where u.classid = 'pg_rewrite'::regclass
    union
    select u.refobjid, u.refobjsubid, 'policy', null, o.polname::text
    from used u
    join pg_policy o on o.oid = u.objid
    where u.classid = 'pg_policy'::regclass
    union
    select u.refobjid, u.refobjsubid, 'trigger', null, o.tgname::text
    from used u
    join pg_trigger o on o.oid = u.objid and not o.tgisinternal
    where u.classid = 'pg_trigger'::regclass
    union
    select u.refobjid, u.refobjsubid, 'function', n.nspname::text, o.proname::text
    from used u
    join pg_proc o on o.oid = u.objid
    join pg_namespace n on n.oid = o.pronamespace
    where u.classid = 'pg_proc'::regclass
    union
    -- before 15 a generated column depends on the columns that it uses, later its expression does
    select d.refobjid, d.refobjsubid, 'generated column', null, g.attname::text
    from pg_attribute g
    left join pg_attrdef e on e.adrelid = g.attrelid and e.adnum = g.attnum
    join pg_depend d
        on d.refclassid = 'pg_class'::regclass and d.refobjid = g.attrelid
        and d.refobjsubid > 0 and d.refobjsubid <> g.attnum
        and (
            d.classid = 'pg_class'::regclass and d.objid = g.attrelid and d.objsubid = g.attnum
            or d.classid = 'pg_attrdef'::regclass and d.objid = e.oid
        )
    where g.attgenerated <> ''
)
select
    u.refobjid::int8 as table_oid,
    u.refobjsubid as attnum,
    u.kind,
    u.schema,
    u.name
from dependents u
join pg_attribute a on a.attrelid = u.refobjid and a.attnum = u.refobjsubid
join pg_type t on t.oid = a.atttypid and t.typcategory = 'N'
join pg_class c on c.oid = u.refobjid and c.relkind in ('r', 'p') and c.relpersistence <> 't'
join pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
order by u.refobjid, u.refobjsubid, u.kind, u.schema, u.name
limit @max_constraints@
