-- A row is an operator that a statement reaches, and the function behind it.
select o.oid::int8 as oid, o.oprname::text as name, o.oprcode::oid::int8 as function
from pg_catalog.pg_operator o
where o.oid = any(%(oids)s::oid[])
