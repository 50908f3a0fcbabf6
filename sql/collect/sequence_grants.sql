-- A row is a schema with sequences that the role may not read, of those that are read first.
select
    format('%I', s.nspname) as schema,
    has_schema_privilege(s.schema_oid, 'USAGE') as is_usable,
    count(*) as sequences
from (
    select c.oid, n.oid as schema_oid, n.nspname
    from pg_sequence s
    join pg_class c on c.oid = s.seqrelid
    join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence <> 't'
        and not (c.relpersistence = 'u' and pg_is_in_recovery())
        and n.nspname not in ('pg_catalog', 'information_schema')
    order by s.seqmax = 9223372036854775807, c.oid
    limit @max_sequences@
) s
where not has_schema_privilege(s.schema_oid, 'USAGE') or not has_table_privilege(s.oid, 'SELECT')
group by s.schema_oid, s.nspname
order by 3 desc, 1
