-- A row is an operator class of a method that is not a B-tree: its name as in CREATE INDEX, its type, and the operators that it serves.
select
    m.amname as method,
    case when n.nspname = 'pg_catalog' then '' else quote_ident(n.nspname) || '.' end || quote_ident(c.opcname) as name,
    t.typname as input_type,
    c.opcdefault as is_default,
    array_remove(array_agg(distinct case when s.amoppurpose = 's' then o.oprname end), null) as operators,
    array_remove(array_agg(distinct case when s.amoppurpose = 'o' then o.oprname end), null) as orders
from pg_opclass c
join pg_am m on m.oid = c.opcmethod and m.amname in ('gin', 'gist', 'hash')
join pg_namespace n on n.oid = c.opcnamespace
join pg_type t on t.oid = c.opcintype
join pg_amop s on s.amopfamily = c.opcfamily and s.amoplefttype = c.opcintype
join pg_operator o on o.oid = s.amopopr
group by m.amname, n.nspname, c.opcname, t.typname, c.opcdefault
order by m.amname, t.typname, c.opcdefault desc, c.opcname
