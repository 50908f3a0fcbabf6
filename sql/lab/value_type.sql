-- A row is the name of a type, or of that below a domain, and its category.
select b.typname::text as name, b.typcategory::text as category
from pg_type t
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
where t.oid = %(type)s
