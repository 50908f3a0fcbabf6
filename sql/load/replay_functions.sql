-- A row is a function that a statement reaches, with what tells whether it changes anything; aggregates with their parts.
select
    p.oid::int8 as oid,
    p.oid::regproc::text as name,
    p.proname::text as plain_name,
    n.nspname::text as schema,
    p.provolatile::text as volatility,
    l.lanname::text as language,
    p.prosrc as body,
    pg_catalog.to_jsonb(p) ->> 'prosqlbody' as tree,
    exists (
        select from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    ) as is_in_extension,
    array(
        select x::int8
        from unnest(array[
            a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn
        ]::oid[]) x
        where x <> 0
    ) as parts,
    array(select x::int8 from unnest(p.proargtypes::oid[] || p.prorettype) x) as types
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_language l on l.oid = p.prolang
left join pg_catalog.pg_aggregate a on a.aggfnoid = p.oid
where p.oid = any(%(oids)s::oid[])
