-- A row is a function whose name is among words of a function's body.
select p.oid::int8 as oid
from pg_catalog.pg_proc p
where p.proname::text = any(%(words)s::text[])
