-- A row is a schema that may be ours, with its comment.
select n.nspname::text as name, n.oid::int8 as oid, obj_description(n.oid, 'pg_namespace') as comment
from pg_namespace n
where starts_with(n.nspname::text, 'pgwatch_wed_stress_')
