-- A row is the type of an expression, in the format of columns.sql.
select
    b.typname as base_type,
    b.typcategory::text as category,
    t.typlen as type_length,
    t.typalign::text as alignment,
    format_type(t.oid, null) as type_name,
    @deduplicates@ as deduplicates
from pg_type t
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
where t.oid = %(type)s
