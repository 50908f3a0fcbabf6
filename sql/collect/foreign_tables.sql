-- A row is a foreign table; rows as counted by ANALYZE, -1 if it never was (13: 0).
select
    c.oid::int8 as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    case when c.reltuples between 0 and 1e15 then c.reltuples else -1 end::float8 as rows,
    c.relpages as pages,
    w.fdwname::text as wrapper,
    s.srvname::text as foreign_server,
    coalesce(
        (select split_part(o, '=', 2) from unnest(f.ftoptions) as o where o like 'use_remote_estimate=%'),
        (select split_part(o, '=', 2) from unnest(s.srvoptions) as o where o like 'use_remote_estimate=%')
    ) in ('true', 'on', 'yes', '1', 't', 'y') as uses_remote_estimate
from pg_foreign_table f
join pg_class c on c.oid = f.ftrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_foreign_server s on s.oid = f.ftserver
join pg_foreign_data_wrapper w on w.oid = s.srvfdw
where n.nspname not in ('pg_catalog', 'information_schema')
order by c.oid
limit @max_relations@
