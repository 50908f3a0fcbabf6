-- A row is a publication.
select
    p.pubname::text as name,
    p.puballtables as is_all_tables,
    p.pubupdate as publishes_update,
    p.pubdelete as publishes_delete,
    array(select r.prrelid::int8 from pg_publication_rel r where r.prpubid = p.oid and not r.prexcept order by 1) as table_oids,
    array(
        select n.nspname::text
        from pg_publication_namespace s
        join pg_namespace n on n.oid = s.pnnspid
        where s.pnpubid = p.oid
        order by 1
    ) as schemas,
    array(select r.prrelid::int8 from pg_publication_rel r where r.prpubid = p.oid and r.prexcept order by 1) as except_oids
from pg_publication p
