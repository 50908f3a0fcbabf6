-- A row is an object outside of a schema that depends on one in it, and would be dropped with it.
with ours as (
    select 'pg_class'::regclass::oid as classid, c.oid
    from pg_class c
    where c.relnamespace = %(schema)s::oid
    union all
    select 'pg_type'::regclass, t.oid
    from pg_type t
    where t.typnamespace = %(schema)s::oid
    union all
    select 'pg_proc'::regclass, p.oid
    from pg_proc p
    where p.pronamespace = %(schema)s::oid
)

select i.identity
from ours
join pg_depend d on d.refclassid = ours.classid and d.refobjid = ours.oid
cross join pg_identify_object_as_address(d.classid, d.objid, d.objsubid) a
cross join pg_identify_object(d.classid, d.objid, d.objsubid) i
where d.deptype in ('n', 'a')
    and a.object_names[1] <> %(name)s and not starts_with(a.object_names[1], %(name)s || '.')
limit 1
