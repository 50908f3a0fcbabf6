-- A row is a collation of ICU or of the system's locales, which the lab may not have, and the columns that are sorted by it.
select
    n.nspname::text as schema,
    c.collname::text as name,
    c.collprovider = 'i' as is_of_icu,
    array(
        select array[tn.nspname::text, t.relname::text, a.attname::text]
        from pg_attribute a
        join pg_class t on t.oid = a.attrelid and t.relkind in ('r', 'p', 'm')
        join pg_namespace tn on tn.oid = t.relnamespace
        where a.attcollation = c.oid and a.attnum > 0 and not a.attisdropped
            and tn.nspname !~ '^pg_' and tn.nspname <> 'information_schema'
        order by 1
    ) as columns
from pg_collation c
join pg_namespace n on n.oid = c.collnamespace
where c.collprovider in ('i', 'c') and c.collname not in ('C', 'POSIX')
    and (
        c.oid >= 16384
        or c.oid in (select a.attcollation from pg_attribute a where a.attrelid >= 16384)
        or exists (select from pg_index i where i.indexrelid >= 16384 and c.oid = any (i.indcollation))
    )
