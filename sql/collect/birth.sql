-- A row is when this database's directory was created; needs EXECUTE on pg_stat_file, by default only for superusers.
select s.modification as database_created_at
from pg_database d, pg_stat_file('base/' || d.oid || '/PG_VERSION', true) s
where d.datname = current_database()
