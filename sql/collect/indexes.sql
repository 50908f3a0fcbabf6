-- A row is an index of a user table or materialized view, or an invalid one of a TOAST table: from the catalogs only.
select
    i.indexrelid::int8 as oid,
    i.indrelid::int8 as table_oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    m.amname::text as access_method,
    c.relpages as pages,
    case when c.reltuples between 0 and 1e15 then c.reltuples else -1 end::float8 as rows,
    i.indkey::int2[]::int[] as columns,
    i.indnkeyatts::int as key_count,
    i.indclass::oid[]::int8[] as opclasses,
    array(
        select (select jsonb_object_agg(o.oid, o.opcname) from pg_opclass o) ->> k.oid::text
        from unnest(i.indclass::oid[]) with ordinality as k (oid, n)
        order by k.n
    ) as opclass_names,
    i.indcollation::oid[]::int8[] as collations,
    i.indoption::int2[]::int[] as indoptions,
    case when i.indexprs is not null
        then regexp_replace(i.indexprs::text, ' :location -?\d+', '', 'g') end as expressions,
    case when i.indpred is not null
        then regexp_replace(i.indpred::text, ' :location -?\d+', '', 'g') end as predicate,
    case when i.indexprs is not null or i.indpred is not null then
        array(
            select distinct d.refobjsubid
            from pg_depend d
            where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
                and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid > 0
            union
            select k from unnest(i.indkey::int2[]::int[]) k where k > 0
            order by 1
        ) else array(select distinct k from unnest(i.indkey::int2[]::int[]) k where k > 0 order by k)
    end as depends_on,
    coalesce(c.reloptions, '{}') as options,
    i.indisunique as is_unique,
    i.indisprimary as is_primary,
    i.indisexclusion as is_exclusion,
    i.indimmediate as is_immediate,
    false as nulls_not_distinct,
    i.indisvalid as is_valid,
    i.indisready as is_ready,
    i.indislive as is_live,
    i.indisclustered as is_clustered,
    i.indisreplident as is_replica_identity,
    c.relispartition as is_partition,
    (select h.inhparent::int8 from pg_inherits h where h.inhrelid = i.indexrelid limit 1) as parent_oid,
    k.oid::int8 as constraint_oid,
    k.conname::text as constraint_name,
    k.contype::text as constraint_type,
    x.objid is not null as is_in_extension,
    coalesce(
        -- looked up by key: catalogs are often not analyzed, which leads to bad join plans
        (
            select jsonb_object_agg(f.conindid, f.keys)
            from (select conindid, count(*) as keys from pg_constraint where contype = 'f' group by conindid) f
        ) ->> i.indexrelid::text,
        '0'
    )::int as referenced_by_foreign_keys,
    s.spcname::text as tablespace,
    coalesce(q.options, '{}') as key_options
from (
    -- selected first: computing a row takes ten times as long as finding it
    select x.indexrelid
    from pg_index x
    join pg_class c on c.oid = x.indexrelid
    join pg_class t on t.oid = x.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    where t.relpersistence <> 't'
        and (
            t.relkind in ('r', 'p', 'm')
            and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
            and n.nspname !~ '^pg_(toast_)?temp_'
            or t.relkind = 't' and not x.indisvalid and n.nspname = 'pg_toast'
        )
    order by c.relpages desc, x.indexrelid
    limit @max_indexes@
) w
join pg_index i on i.indexrelid = w.indexrelid
join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_am m on m.oid = c.relam
left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
left join pg_depend x
    on x.classid = 'pg_class'::regclass and x.objid = i.indrelid and x.objsubid = 0
    and x.deptype = 'e' and x.refclassid = 'pg_extension'::regclass
left join pg_tablespace s on s.oid = c.reltablespace
left join (
    select attrelid, array_agg(attnum || ' ' || attoptions::text order by attnum) as options
    from pg_attribute
    where attoptions is not null
    group by attrelid
) q on q.attrelid = i.indexrelid
order by c.relpages desc, i.indexrelid
