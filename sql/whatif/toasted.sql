-- A row is a table some of whose values are stored out of line.
select n.nspname::text as schema, c.relname::text as name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_class t on t.oid = c.reltoastrelid
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and (t.relpages > 0 or pg_stat_get_live_tuples(t.oid) > 0)
