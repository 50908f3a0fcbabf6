-- A row is a column that an update changes without naming it (attnum null: any of them), because of a trigger or as a generated one.
select
    t.table_oid::int8 as table_oid,
    t.name::text as "trigger",
    a.attnum::int as attnum,
    case
        when s.needs = '{}' then array(select c::int from unnest(t.columns) as c)
        else array(select b.attnum::int from pg_attribute b where b.attrelid = t.table_oid and b.attname = any (s.needs))
    end as needs
from (
    select
        t.tgrelid as table_oid, t.tgname as name, t.tgattr::int2[] as columns, p.prosrc as symbol,
        string_to_array(encode(t.tgargs, 'escape'), E'\\000') as args,
        case when l.lanname = 'plpgsql' then regexp_replace(p.prosrc, '--[^\n]*|/\*.*?\*/', ' ', 'g') end as body
    from pg_trigger t
    join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace
    join pg_proc p on p.oid = t.tgfoid
    join pg_language l on l.oid = p.prolang
    where (t.tgtype & 19) = 19 -- before update, for each row
        and t.tgenabled <> 'D'
        and (not t.tgisinternal or t.tgparentid <> 0)
        and c.relkind in ('r', 'p')
        and c.relpersistence <> 't'
        and n.nspname not in ('pg_catalog', 'information_schema')
        and p.prosrc not in ('suppress_redundant_updates_trigger', 'lo_manage')
    limit @max_relations@
) t
cross join lateral (
    select coalesce(m.found[1], lower(m.found[2]), m.found[3], lower(m.found[4])) as name, '{}'::text[] as needs
    from regexp_matches(
        t.body,
        '(?:^|;|\mbegin|\mthen|\melse|\mloop|>>)\s*new\s*\.\s*(?:"([^"]+)"|(\w+))(?:\s*\[[^\]]*\])?\s*:?='
        '|\minto\s+(?:strict\s+)?new\s*\.\s*(?:"([^"]+)"|(\w+))',
        'gi'
    ) as m (found)
    union
    select t.args[1], case t.symbol
            when 'tsvector_update_trigger_byid' then t.args[3:cardinality(t.args) - 1]
            when 'tsvector_update_trigger_bycolumn' then t.args[2:cardinality(t.args) - 1]
            else '{}'
        end
    where t.symbol in ('moddatetime', 'tsvector_update_trigger_byid', 'tsvector_update_trigger_bycolumn')
    union
    select null, '{}'
    where case
        when t.body is not null
            then t.body ~* '(^|;|\mbegin|\mthen|\melse|\mloop|>>)\s*new\s*:?=|\minto\s+(strict\s+)?new\s*(;|,|\mfrom\M)'
        else t.symbol not in ('moddatetime', 'tsvector_update_trigger_byid', 'tsvector_update_trigger_bycolumn')
    end
) s
left join pg_attribute a on a.attrelid = t.table_oid and a.attname = s.name and a.attnum > 0 and not a.attisdropped
where s.name is null or a.attnum is not null
union all
select a.attrelid::int8, null, a.attnum::int, array_agg(distinct d.refobjsubid)
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_attrdef e on e.adrelid = a.attrelid and e.adnum = a.attnum
join pg_depend d
    on d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid and d.refobjsubid > 0 and d.refobjsubid <> a.attnum
    and (
        (d.classid = 'pg_attrdef'::regclass and d.objid = e.oid)
        or (d.classid = 'pg_class'::regclass and d.objid = a.attrelid and d.objsubid = a.attnum)
    )
where a.attgenerated = 's' and c.relpersistence <> 't'
group by a.attrelid, a.attnum
order by 1, 2, 3
