-- A row is the text of a statement of this database, for the costliest ones; truncated if it is very long.
select
    s.userid::int8 as user_oid,
    s.queryid as query_id,
    s.toplevel as is_toplevel,
    case
        -- before 16, all others may contain values, which cannot be located in a truncated text
        when s.query ~* '^\s*(select|insert|update|delete|merge|with|values)\y' then left(s.query, @max_text_chars@)
        else s.query
    end as text
from @extschema@.pg_stat_statements(true) s
where s.dbid = (select oid from pg_database where datname = current_database())
    and s.queryid = any ('{@query_ids@}'::int8[])
