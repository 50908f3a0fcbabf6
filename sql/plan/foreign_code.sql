-- A row says why a statement is not planned: planning it could run code that belongs neither to PostgreSQL nor to an extension.
with recursive tables as (
    select c.oid, c.relkind, c.relhasrules, c.relrowsecurity
    from pg_class c
    where c.oid = any (%(oids)s::oid[]) and c.oid >= 16384  -- lower ones are PostgreSQL's own
    union
    select c.oid, c.relkind, c.relhasrules, c.relrowsecurity
    from tables t
    join pg_inherits h on h.inhparent = t.oid
    join pg_class c on c.oid = h.inhrelid
), types as (
    select y.oid, y.typbasetype, y.typelem, y.typrelid
    from pg_type y
    where y.typnamespace <> 'pg_catalog'::regnamespace
        and (y.typname = any (%(types)s::name[]) or y.oid in (
            select a.atttypid
            from tables t
            join pg_attribute a on a.attrelid = t.oid
            where a.attnum > 0 and not a.attisdropped
        ))
    union
    select y.oid, y.typbasetype, y.typelem, y.typrelid
    from types t
    cross join lateral (
        select t.typbasetype as oid
        union all
        select t.typelem
        union all
        select r.rngsubtype
        from pg_range r
        where r.rngtypid = t.oid
        union all
        select a.atttypid
        from pg_attribute a
        where a.attrelid = t.typrelid and t.typrelid <> 0 and a.attnum > 0 and not a.attisdropped
    ) part
    join pg_type y on y.oid = part.oid
    where y.typnamespace <> 'pg_catalog'::regnamespace
-- everything that the planner may evaluate: expressions, defaults, conditions, checks
), looked_into as (
    select 'pg_class'::regclass as class, t.oid
    from tables t
    union all
    select 'pg_class'::regclass, i.indexrelid
    from tables t
    join pg_index i on i.indrelid = t.oid
    union all
    select 'pg_attrdef'::regclass, d.oid
    from tables t
    join pg_attrdef d on d.adrelid = t.oid
    union all
    select 'pg_constraint'::regclass, k.oid
    from tables t
    join pg_constraint k on k.conrelid = t.oid
    union all
    select 'pg_statistic_ext'::regclass, s.oid
    from tables t
    join pg_statistic_ext s on s.stxrelid = t.oid
    union all
    select 'pg_type'::regclass, y.oid
    from types y
    union all
    select 'pg_constraint'::regclass, k.oid
    from types y
    join pg_constraint k on k.contypid = y.oid
    union all
    select 'pg_cast'::regclass, c.oid
    from types y
    join pg_cast c on y.oid in (c.castsource, c.casttarget)
), functions as (
    select p.oid
    from pg_proc p
    where p.proname = any (%(functions)s::name[])
        -- t.f calls f(t) if t has no such column
        or p.proname = any (%(fields)s::name[]) and p.pronargs > 0
            and exists (select from pg_type y where y.oid = p.proargtypes[0] and y.typtype in ('c', 'p'))
    union
    select d.refobjid
    from looked_into l
    join pg_depend d on d.classid = l.class and d.objid = l.oid
    where d.refclassid = 'pg_proc'::regclass
), operators as (
    select o.oid
    from pg_operator o
    where o.oprname = any (%(operators)s::name[])
    union
    select d.refobjid
    from looked_into l
    join pg_depend d on d.classid = l.class and d.objid = l.oid
    where d.refclassid = 'pg_operator'::regclass
)
select 'it reads a view, a foreign table, or a table that no longer exists' as reason
from tables t
where t.relkind not in ('r', 'p', 'm', 'S') or t.relhasrules and t.relkind <> 'm'
union all
select 'row-level security applies to one of its tables'
from tables t
where row_security_active(t.oid)
    -- policies that do not bind us may bind the role that runs it, which gets another plan
    or t.relrowsecurity and coalesce(%(user)s::text <> current_user, false)
union all
select 'it calls a user-defined function or operator'
from (
    select 'pg_proc'::regclass as class, p.oid, p.proowner as owner
    from functions f
    join pg_proc p on p.oid = f.oid
    where p.pronamespace <> 'pg_catalog'::regnamespace
    union all
    select 'pg_operator'::regclass, o.oid, o.oprowner
    from operators f
    join pg_operator o on o.oid = f.oid
    where o.oprnamespace <> 'pg_catalog'::regnamespace
) used
-- the owner of an extension may add to it, so its members count only if created by a superuser or our own role
where not exists (
        select from pg_depend d
        where d.classid = used.class and d.objid = used.oid and d.deptype = 'e'
    )
    or not exists (
        select from pg_roles r
        where r.oid = used.owner and (r.rolsuper or r.rolname = current_user)
    )
limit 1
