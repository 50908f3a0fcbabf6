-- A row is a domain over a number: CREATE DOMAIN as one domain over its base type, with what all domains below it check.
with recursive levels as (
    select
        t.oid as domain,
        n.nspname::text as schema,
        t.typname::text as name,
        t.oid as level,
        t.typbasetype,
        t.typtypmod,
        t.typnotnull,
        t.typdefault,
        0 as depth
    from pg_type t
    join pg_namespace n on n.oid = t.typnamespace
    where t.typtype = 'd' and t.typcategory = 'N' and n.nspname not in ('pg_catalog', 'information_schema')
    union all
    select l.domain, l.schema, l.name, b.oid, b.typbasetype, b.typtypmod, b.typnotnull, b.typdefault, l.depth + 1
    from levels l
    join pg_type b on b.oid = l.typbasetype and b.typtype = 'd'
), domains as (
    select
        l.domain,
        l.schema,
        l.name,
        (array_agg(format_type(l.typbasetype, l.typtypmod) order by l.depth desc))[1] as type,
        (array_agg(l.typbasetype order by l.depth desc))[1] as base,
        bool_or(l.typnotnull) as is_not_null,
        (array_agg(l.typdefault order by l.depth) filter (where l.typdefault is not null))[1] as default_value,
        string_agg(k.valid, '' order by l.depth desc) as valid,
        string_agg(k.not_valid, '' order by l.depth desc) as not_valid
    from levels l
    cross join lateral (
        select
            string_agg(x.named || x.definition, '' order by x.definition) filter (where x.is_valid) as valid,
            string_agg(
                format(E';\nALTER DOMAIN %I.%I ADD', l.schema, l.name) || x.named || x.definition, '' order by x.definition
            ) filter (where not x.is_valid) as not_valid
        from (
            select
                -- only names of the domain itself are certainly different
                case when l.depth = 0 then format(' CONSTRAINT %I ', c.conname) else ' ' end as named,
                pg_get_constraintdef(c.oid) as definition,
                c.convalidated as is_valid
            from pg_constraint c
            where c.contypid = l.level and c.contype = 'c'
        ) x
    ) k
    group by l.domain, l.schema, l.name
)
select
    d.domain::int8 as oid,
    d.schema,
    d.name,
    d.type,
    (select b.typname::text from pg_type b where b.oid = d.base) as base_type,
    format('CREATE DOMAIN %I.%I AS %s', d.schema, d.name, d.type)
        || coalesce(' DEFAULT ' || d.default_value, '')
        || case when d.is_not_null then ' NOT NULL' else '' end
        || coalesce(d.valid, '')
        || coalesce(d.not_valid, '') as definition
from domains d
order by d.domain
limit @max_relations@
