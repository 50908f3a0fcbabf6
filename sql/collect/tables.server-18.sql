-- A row is a user table, partition, partitioned parent or materialized view.
select
    c.oid::int8 as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    c.relpersistence::text as persistence,
    coalesce(o.rolname::text, c.relowner::text) as owner,
    c.relpages as pages,
    -- reltuples is not checked when it is written: an invalid count is treated as missing, which is -1
    case when c.reltuples between 0 and 1e15 then c.reltuples else -1 end::float8 as rows,
    c.relallvisible as all_visible_pages,
    c.relallfrozen as all_frozen_pages,
    t.oid::int8 as toast_oid,
    t.relpages as toast_pages,
    case when t.reltuples between 0 and 1e15 then t.reltuples when t.oid is not null then -1 end::float8 as toast_rows,
    coalesce(c.reloptions, '{}') as options,
    coalesce(t.reloptions, '{}') as toast_options,
    c.relispartition as is_partition,
    i.inhparent::int8 as parent_oid,
    c.relhassubclass and exists (select from pg_inherits k where k.inhparent = c.oid) as has_children,
    d.partdefid is not null as is_default_partition,
    p.partstrat::text as partition_strategy,
    coalesce(p.partattrs::int2[]::int[], '{}') as partition_columns,
    c.relreplident::text as replica_identity,
    case when c.relfrozenxid <> '0' then age(c.relfrozenxid) end::int8 as xid_age_xids,
    case when c.relminmxid <> '0' then mxid_age(c.relminmxid) end::int8 as mxid_age,
    case when t.relfrozenxid <> '0' then age(t.relfrozenxid) end::int8 as toast_xid_age_xids,
    case when t.relminmxid <> '0' then mxid_age(t.relminmxid) end::int8 as toast_mxid_age,
    c.relnatts::int as column_count,
    x.objid is not null as is_in_extension,
    c.relhastriggers as has_triggers,
    s.spcname::text as tablespace,
    m.amname::text as access_method,
    has_table_privilege(c.oid, 'SELECT') as can_select
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_roles o on o.oid = c.relowner
left join pg_class t on t.oid = c.reltoastrelid and c.reltoastrelid <> 0
left join pg_inherits i on i.inhrelid = c.oid and i.inhseqno = 1
left join pg_partitioned_table p on p.partrelid = c.oid
left join pg_partitioned_table d on d.partdefid = c.oid
left join pg_depend x
    on x.classid = 'pg_class'::regclass and x.objid = c.oid and x.objsubid = 0
    and x.deptype = 'e' and x.refclassid = 'pg_extension'::regclass
left join pg_tablespace s on s.oid = c.reltablespace
left join pg_am m on m.oid = c.relam
where c.relkind in ('r', 'p', 'm')
    and c.relpersistence <> 't'
    and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
    and n.nspname !~ '^pg_(toast_)?temp_'
order by c.relpages desc, c.oid
limit @max_relations@
