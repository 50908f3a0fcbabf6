-- A row is the text of a statement of this database that stands out.
select s.userid::int8 as user_oid, s.queryid as query_id, s.toplevel as is_toplevel, s.query as text
from @extschema@.pg_stat_statements(true) s
where s.dbid = (select oid from pg_database where datname = current_database())
    and s.queryid = any ('{@query_ids@}'::int8[])
