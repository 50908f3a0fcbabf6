-- A row is a view, a foreign table or a table with policies whose name is among words of a function's body.
select c.oid::int8 as oid
from pg_catalog.pg_class c
where c.relname::text = any(%(words)s::text[]) and (c.relkind in ('v', 'f') or c.relrowsecurity)
