-- A row is a schema of users, in which reading is granted where there is no role for readers.
select n.nspname::text as name
from pg_catalog.pg_namespace n
where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
