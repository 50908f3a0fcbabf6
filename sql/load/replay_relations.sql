-- A row is a relation that a statement reaches: a view's definition and the conditions of policies as node trees, and its partitions.
select
    c.oid::int8 as oid,
    c.oid::regclass::text as name,
    c.relkind::text as kind,
    array(
        select r.ev_action::text from pg_catalog.pg_rewrite r
        where r.ev_class = c.oid and r.ev_type = '1'
    ) as definitions,
    array(
        select p.polqual::text from pg_catalog.pg_policy p
        where p.polrelid = c.oid and p.polcmd in ('r', '*') and c.relrowsecurity and p.polqual is not null
    ) as policies,
    array(select i.inhrelid::int8 from pg_catalog.pg_inherits i where i.inhparent = c.oid) as children
from pg_catalog.pg_class c
where c.oid = any(%(oids)s::oid[])
