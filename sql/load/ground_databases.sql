-- A row is a database that may be ours, with its comment.
select d.datname::text as name, d.oid::int8 as oid, shobj_description(d.oid, 'pg_database') as comment
from pg_database d
where starts_with(d.datname::text, 'pgwatch_wed_stress_')
