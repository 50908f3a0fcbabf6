-- A row is a collation whose library version differs from the one that it was created with.
select
    n.nspname || '.' || c.collname as name,
    c.collprovider::text as provider,
    c.collversion as recorded,
    c.actual,
    array(select jsonb_array_elements_text(c.indexes)::int8) as index_oids,
    c.oid::int8 as oid
from (
    select
        c.*,
        pg_collation_actual_version(c.oid) as actual,
        (
            -- one pass over the indexes for all collations: after an upgrade of ICU, hundreds may differ
            select jsonb_object_agg(u.oid, u.indexes)
            from (
                select k.oid, (array_agg(distinct i.indexrelid::int8 order by i.indexrelid::int8))[:1000] as indexes
                from pg_index i
                cross join lateral unnest(i.indcollation::oid[]) as k (oid)
                where k.oid <> 0
                group by k.oid
            ) u
        ) -> c.oid::text as indexes
    from pg_collation c
    where c.collversion is distinct from pg_collation_actual_version(c.oid)
        and c.collversion is not null
        and c.collencoding in (-1, (select encoding from pg_database where datname = current_database()))
    offset 0
) c
join pg_namespace n on n.oid = c.collnamespace
