-- A row is the collation of this database: C for the built-in provider, which compares like it, and und for ICU.
select
    case to_jsonb(d) ->> 'datlocprovider'
        when 'b' then 'C'
        when 'i' then 'und'
        else d.datcollate
    end as collation
from pg_database d
where d.datname = current_database()
