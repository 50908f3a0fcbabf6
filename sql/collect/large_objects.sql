-- A row is the large objects of this database together; above 64 MB of metadata, they are not counted one by one.
with recursive domains as materialized (
    select t.oid, t.typbasetype from pg_type t where t.typtype = 'd'
),
numbers as (
    select 'oid'::regtype::oid as oid
    union
    select d.oid from domains d join numbers n on n.oid = d.typbasetype
),
sizes as (
    select
        pg_relation_size('pg_largeobject') + pg_relation_size('pg_largeobject_loid_pn_index') as size_bytes,
        pg_relation_size('pg_largeobject_metadata') < 64 * 1024 * 1024 as is_counted
)
select
    case
        when s.is_counted then (select count(*) from pg_largeobject_metadata)
        else (select greatest(c.reltuples, 0)::int8 from pg_class c where c.oid = 'pg_largeobject_metadata'::regclass)
    end as objects,
    s.is_counted,
    s.size_bytes,
    array(select n.oid::int8 from numbers n order by 1) as number_types,
    array(
        select t.typarray::int8 from pg_type t where t.oid in (select n.oid from numbers n) and t.typarray <> 0 order by 1
    ) as array_types
from sizes s
