-- A row is a sequence that is readable and not locked; those closest to their end first.
-- Then last_value and is_called are read from each by name, a few hundred at a time.
with locked as materialized (
    select l.relation
    from pg_locks l
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation is not null
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
select s.oid, s.name
from (
    select c.oid::int8 as oid, n.oid as schema_oid, format('%I.%I', n.nspname, c.relname) as name
    from pg_sequence s
    join pg_class c on c.oid = s.seqrelid
    join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence <> 't'
        and not (c.relpersistence = 'u' and pg_is_in_recovery())
        and n.nspname not in ('pg_catalog', 'information_schema')
        and c.oid not in (select relation from locked)
    order by s.seqmax = 9223372036854775807, c.oid
    -- privileges are checked only until enough are found: the results stay in the server process's memory
    offset 0
) s
where has_table_privilege(s.oid::oid, 'SELECT') and has_schema_privilege(s.schema_oid, 'USAGE')
limit @max_sequences@
