-- A row is the text of a statement of this database that stands out, its beginning where it is very long.
select
    s.userid::int8 as user_oid,
    s.queryid as query_id,
    s.toplevel as is_toplevel,
    case
        -- all others may hold values before 16, and of half a text nobody knows where they are
        when s.query ~* '^\s*(select|insert|update|delete|merge|with|values)\y' then left(s.query, @max_text_chars@)
        else s.query
    end as text
from @extschema@.pg_stat_statements(true) s
where s.dbid = (select oid from pg_database where datname = current_database())
    and s.queryid = any ('{@query_ids@}'::int8[])
