-- A row is a foreign key: its table, the referenced table, and its columns.
select
    conrelid::int8 as table_oid,
    confrelid::int8 as referenced_oid,
    array(
        select a.attname::text
        from unnest(conkey) k
        join pg_attribute a on a.attrelid = conrelid and a.attnum = k
    ) as columns
from pg_constraint
where contype = 'f'
