-- A row is a collation whose library version is not the one that it was created with.
select
    n.nspname || '.' || c.collname as name,
    c.collprovider::text as provider,
    c.collversion as recorded,
    pg_collation_actual_version(c.oid) as actual,
    array(
        select i.indexrelid::int8
        from pg_index i
        where c.oid = any (i.indcollation::oid[])
        order by 1
        limit 1000
    ) as index_oids
from pg_collation c
join pg_namespace n on n.oid = c.collnamespace
where c.collversion is distinct from pg_collation_actual_version(c.oid)
    and c.collversion is not null
    and c.collencoding in (-1, (select encoding from pg_database where datname = current_database()))
