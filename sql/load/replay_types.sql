-- A row is a type that a statement reaches: the functions that read and write its values, its base or element, and its checks.
select
    t.oid::int8 as oid,
    t.oid::regtype::text as name,
    array(select x::int8 from unnest(array[t.typinput, t.typoutput]::oid[]) x where x <> 0) as functions,
    array(select x::int8 from unnest(array[t.typbasetype, t.typelem]) x where x <> 0) as parts,
    array(
        select c.conbin::text from pg_catalog.pg_constraint c
        where c.contypid = t.oid and c.conbin is not null
    ) as checks
from pg_catalog.pg_type t
where t.oid = any(%(oids)s::oid[])
