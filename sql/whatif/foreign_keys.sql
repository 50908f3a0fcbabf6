-- A row is a foreign key: its table, the referenced table, and its columns. cascades: rows that refer to a deleted one are deleted, too.
-- is_checked: PostgreSQL looks for them by equality, once for the whole table if it is partitioned (not for NOT ENFORCED or PERIOD).
select
    c.conrelid::int8 as table_oid,
    c.confrelid::int8 as referenced_oid,
    array(
        select a.attname::text
        from unnest(c.conkey) k
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k
    ) as columns,
    c.confdeltype = 'c' as cascades,
    c.conparentid = 0
    and coalesce((to_jsonb(c) ->> 'conenforced')::bool, true)
    and not coalesce((to_jsonb(c) ->> 'conperiod')::bool, false) as is_checked
from pg_constraint c
where c.contype = 'f'
