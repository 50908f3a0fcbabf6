-- A row is something of a user table that may decide a plan: an index, a constraint, a column's statistics, or how it is stored.
select n.nspname::text as schema, c.relname::text as table, x.kind, x.name
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
    select 'index' as kind, i.relname::text as name
    from pg_index d
    join pg_class i on i.oid = d.indexrelid
    where d.indrelid = c.oid and d.indisvalid
    union all
    select 'constraint', k.conname::text
    from pg_constraint k
    where k.conrelid = c.oid and k.contype in ('c', 'f', 'p', 'u', 'x') and k.convalidated
        and k.conparentid = 0  -- partitions get theirs from above, perhaps with other names
    union all
    select 'access method', m.amname::text
    from pg_am m
    where m.oid = c.relam
    union all
    select 'partition', p.relname::text
    from pg_inherits h
    join pg_class p on p.oid = h.inhrelid
    where h.inhparent = c.oid and p.relpersistence <> 't'
    union all
    select 'rule', r.rulename::text
    from pg_rewrite r
    where r.ev_class = c.oid and c.relkind <> 'm'
    union all
    select distinct 'statistics of column', s.attname::text
    from pg_stats s
    where s.schemaname = n.nspname and s.tablename = c.relname
) x
where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't'
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
