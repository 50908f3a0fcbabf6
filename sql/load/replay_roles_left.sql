-- A row is a role that a killed replay left behind in this database.
select r.rolname::text as name
from pg_catalog.pg_roles r
join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
where pg_catalog.starts_with(r.rolname::text, %(prefix)s)
and pg_catalog.shobj_description(r.oid, 'pg_authid') = 'pgwatch_wed replay in ' || d.oid
