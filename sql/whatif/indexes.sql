-- A row is an index of a user table, with its keys and predicate in the syntax of CREATE INDEX.
select
    i.indexrelid::int8 as oid,
    n.nspname as schema,
    x.relname as name,
    i.indrelid::int8 as table_oid,
    m.amname as method,
    array(
        select pg_get_indexdef(i.indexrelid, k, true) from generate_series(1, i.indnkeyatts) k
    ) as keys,
    array(
        select pg_get_indexdef(i.indexrelid, k, true)
        from generate_series(i.indnkeyatts + 1, i.indnatts) k
    ) as include,
    array(
        select coalesce(case when o.opcdefault then '' else o.opcname end, '')
        from unnest(i.indclass::oid[]) with ordinality c (oid, k)
        join pg_opclass o on o.oid = c.oid
        order by k
    ) as operator_classes,
    i.indoption::int2[] as options,
    pg_get_expr(i.indpred, i.indrelid, true) as predicate,
    i.indisunique as is_unique,
    i.indisvalid and i.indisready as is_valid,
    i.indisprimary or i.indisexclusion or i.indisreplident
        or exists (select from pg_constraint k where k.conindid = i.indexrelid) as is_constraint,
    pg_get_indexdef(i.indexrelid) as definition,
    x.relpages as pages,
    x.reltuples as rows,
    (select h.inhparent::int8 from pg_inherits h where h.inhrelid = i.indexrelid) as parent
from pg_index i
join pg_class x on x.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid and c.relkind in ('r', 'p', 'm')
join pg_namespace n on n.oid = x.relnamespace
join pg_am m on m.oid = x.relam
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
