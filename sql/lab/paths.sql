-- A row is a relation with storage that came from the target, and the path of its file; optionally only for some of them.
select oid::int8 as oid, pg_relation_filepath(oid) as path
from pg_class
where relkind in ('r', 'm', 'i') and relnamespace <> 'pg_catalog'::regnamespace
    and (%(oids)s::oid[] is null or oid = any (%(oids)s::oid[]))
